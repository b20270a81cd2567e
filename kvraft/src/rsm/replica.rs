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
