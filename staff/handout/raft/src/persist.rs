//! Part 3C: what survives a crash (Figure 2, "Persistent state on all servers").

use raftapi::SnapshotWrite;

use crate::state::State;

impl State {
    /// Saves the persistent state. To be called after each change of it, and before this server says
    /// anything that depends on the change, in a reply or in a request: what others were told must
    /// still be true after a crash.
    ///
    /// Write the fields one after the other with a `labgob::Encoder`. Call this from 3A on, wherever
    /// it belongs, and part 3C is a few lines.
    ///
    /// Part 3D: the snapshot and the log that it made shorter are saved together, with
    /// [`SnapshotWrite::Replace`]; a crash between the two would lose entries.
    pub(crate) fn persist(&self) {
        // Until part 3C only that there was a life before.
        self.persister.save(labgob::to_bytes(&"nothing yet"), SnapshotWrite::Keep);
    }

    /// Reads what [`persist`](State::persist) wrote, with a `labgob::Decoder`, when a server starts
    /// again.
    ///
    /// Part 3D: what the snapshot includes was committed and applied, and the service has loaded it
    /// already.
    pub(crate) fn restore(&mut self, saved: &[u8]) {
        let _ = saved;
        todo!("Part 3C: save the persistent state, and read it back after a crash")
    }
}
