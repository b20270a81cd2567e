//! The state that the log has led to so far, and how an entry changes it.
//!
//! Owned by the apply loop, so there is no lock around it. Synchronous code: who waits for what,
//! and what goes to Raft, is in server.rs.

use labgob::{DecodeError, Decoder, Encoder};
use raft::LogIndex;
use serde::{Deserialize, Serialize};

use super::{
    ClientId, MAX_SESSIONS, Outcome, StateMachine, SubmitError,
    pending::OpId,
    sessions::{Known, Sessions, Slot},
};

/// What an entry of the log says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Command<Op> {
    pub(super) client: ClientId,
    pub(super) seq: u64,
    pub(super) op: Op,
}

/// One server's copy of the replicated state. A clone is cheap.
#[derive(Clone)]
pub(super) struct Replica<M: StateMachine> {
    /// Index of the last entry that the state includes.
    applied: LogIndex,
    machine: M,
    sessions: Sessions<M::Output>,
}

impl<M: StateMachine> Replica<M> {
    /// The state before the first entry.
    pub(super) fn new(machine: M) -> Replica<M> {
        Replica { applied: LogIndex(0), machine, sessions: Sessions::new(MAX_SESSIONS) }
    }

    pub(super) fn applied(&self) -> LogIndex {
        self.applied
    }

    /// Executes the entry after the last one, unless it was executed before. The outcome is for
    /// whoever submitted it; a read-only operation that nobody here waits for (`wanted` is false)
    /// is left out, since only that would make a difference.
    ///
    /// # Panics
    ///
    /// If it is not the next entry, or was not put into the log by this module.
    pub(super) fn apply(
        &mut self,
        index: LogIndex,
        command: &[u8],
        wanted: bool,
    ) -> Outcome<M::Output> {
        assert!(index == self.applied.next(), "{index} was delivered after {}", self.applied);
        self.applied = index;
        let Command { client, seq, op } =
            labgob::from_bytes(command).expect("all commands in the log were put there by submit");
        if M::is_read_only(&op) {
            return if wanted { Ok(self.machine.apply(op)) } else { Err(SubmitError::Unknown) };
        }
        let id = OpId { client, seq };
        match self.sessions.look_up(id) {
            Known::Done(output) => Ok(output),
            Known::Superseded => Err(SubmitError::Superseded),
            Known::New => {
                let output = self.machine.apply(op);
                self.sessions.record(id, index, output.clone());
                Ok(output)
            }
        }
    }

    /// The state as bytes: what [`Replica::decode`] reads. Takes its time if the state is large.
    ///
    /// With the sessions, and in the same piece: a state without them would execute retries again.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.encode(&self.applied).encode(&self.sessions.slots());
        self.machine.snapshot(&mut encoder);
        encoder.finish()
    }

    /// # Errors
    ///
    /// If these are not the bytes of a replica.
    pub(super) fn decode(bytes: &[u8]) -> Result<Replica<M>, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let applied = decoder.decode()?;
        let slots: Vec<(ClientId, Slot<M::Output>)> = decoder.decode()?;
        let machine = M::restore(&mut decoder)?;
        decoder.finish()?;
        Ok(Replica { applied, machine, sessions: Sessions::restore(MAX_SESSIONS, slots) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds up, and counts how often it was asked for the sum (which a service must not).
    #[derive(Clone, Default)]
    struct Sum {
        sum: u64,
        reads: u64,
    }

    impl StateMachine for Sum {
        /// A number to add, or `None` to read the sum.
        type Op = Option<u64>;
        type Output = u64;

        fn apply(&mut self, op: Option<u64>) -> u64 {
            self.reads += u64::from(op.is_none());
            self.sum += op.unwrap_or(0);
            self.sum
        }

        fn is_read_only(op: &Option<u64>) -> bool {
            op.is_none()
        }

        fn snapshot(&self, to: &mut Encoder) {
            to.encode(&self.sum);
        }

        fn restore(from: &mut Decoder<'_>) -> Result<Sum, DecodeError> {
            Ok(Sum { sum: from.decode()?, reads: 0 })
        }
    }

    /// Applies the next entry: an operation of client 1, which somebody waits for.
    fn apply(replica: &mut Replica<Sum>, seq: u64, op: Option<u64>) -> Outcome<u64> {
        let command = labgob::to_bytes(&Command { client: ClientId(1), seq, op });
        replica.apply(replica.applied().next(), &command, true)
    }

    #[test]
    fn a_retry_gets_the_result_and_does_nothing() {
        let mut replica = Replica::new(Sum::default());
        assert_eq!(apply(&mut replica, 1, Some(5)), Ok(5));
        assert_eq!(apply(&mut replica, 1, Some(5)), Ok(5));
        assert_eq!(apply(&mut replica, 2, Some(5)), Ok(10));
        assert_eq!(apply(&mut replica, 1, Some(5)), Err(SubmitError::Superseded));
        assert_eq!(apply(&mut replica, 3, Some(1)), Ok(11));
    }

    #[test]
    fn a_repeated_read_reads_again_and_is_not_remembered() {
        let mut replica = Replica::new(Sum::default());
        assert_eq!(apply(&mut replica, 1, Some(5)), Ok(5));
        assert_eq!(apply(&mut replica, 2, None), Ok(5));
        // A retry of the write that came before it, late but in time.
        assert_eq!(apply(&mut replica, 1, Some(5)), Ok(5));
        assert_eq!(apply(&mut replica, 2, None), Ok(5));
        assert_eq!(replica.machine.reads, 2);
    }

    #[test]
    fn a_read_that_nobody_waits_for_is_left_out() {
        let mut replica = Replica::new(Sum::default());
        let read = labgob::to_bytes(&Command { client: ClientId(1), seq: 1, op: None::<u64> });
        assert!(replica.apply(LogIndex(1), &read, false).is_err());
        assert_eq!((replica.machine.reads, replica.applied()), (0, LogIndex(1)));
    }

    #[test]
    fn a_restored_state_goes_on_where_it_was() {
        let mut replica = Replica::new(Sum::default());
        apply(&mut replica, 1, Some(5)).unwrap();
        apply(&mut replica, 2, Some(6)).unwrap();
        let mut restored = Replica::<Sum>::decode(&replica.encode()).unwrap();
        assert_eq!(restored.applied(), LogIndex(2));
        assert_eq!(apply(&mut restored, 2, Some(6)), Ok(11)); // it knows what was done
        assert_eq!(apply(&mut restored, 3, Some(7)), Ok(18));
    }

    #[test]
    #[should_panic(expected = "i3 was delivered after i0")]
    fn a_gap_in_the_log_is_noticed() {
        let _ = Replica::new(Sum::default()).apply(LogIndex(3), &[], true);
    }
}
