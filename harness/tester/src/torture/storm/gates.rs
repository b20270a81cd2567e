//! Who calls a server keeps it from standing still meanwhile.

use raftapi::ServerId;

use super::Shared;

/// A caller is in a server, which does not stand still as long as this is kept.
pub(crate) struct Inside<'a> {
    shared: &'a Shared,
    server: ServerId,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.shared.gates.lock()[self.server.0].0 -= 1;
    }
}

impl Shared {
    /// A caller goes in. `None` if the server stands still.
    pub(crate) fn enter(&self, server: ServerId) -> Option<Inside<'_>> {
        let (callers, closed) = &mut self.gates.lock()[server.0];
        *callers += u32::from(!*closed);
        (!*closed).then(|| Inside { shared: self, server })
    }

    /// Nobody goes in any more, and nobody is there.
    pub(super) fn close(&self, server: ServerId) -> bool {
        let (callers, closed) = &mut self.gates.lock()[server.0];
        *closed = *callers == 0;
        *closed
    }

    pub(super) fn open(&self, server: ServerId) {
        self.gates.lock()[server.0].1 = false;
    }
}
