//! The calls that wait for an answer.

use std::sync::Arc;

use labrt::oneshot;

use crate::{
    delivery::Answer,
    state::{LinkId, Route, ServerId},
};

/// Names a call while it waits. A key that was used again names another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallKey {
    slot: u32,
    uses: u32,
}

/// One caller, waiting.
pub(crate) struct Call {
    pub(crate) route: Arc<Route>,
    pub(crate) method: &'static str,
    /// Its number over the whole network.
    pub(crate) number: u64,
    /// The request's number on its link.
    pub(crate) request: u64,
    pub(crate) phase: Phase,
    /// Wakes the caller.
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The request is on its way, or its caller is about to learn that it is not.
    Requested,
    /// The server has it: the handler runs, or the reply is on its way.
    Taken,
    /// The reply is held back; it arrives whatever happens to its server and the link.
    Held,
    /// No reply will arrive; the caller is about to learn it.
    Doomed,
}

/// Calls in slots that are used again.
#[derive(Default)]
pub(crate) struct Calls {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    uses: u32,
    call: Option<Call>,
}

impl Calls {
    pub(crate) fn insert(&mut self, call: Call) -> CallKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 calls wait at once")
        });
        let place = &mut self.slots[slot as usize];
        place.call = Some(call);
        CallKey { slot, uses: place.uses }
    }

    /// The call, if it still waits.
    pub(crate) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        let place = &mut self.slots[key.slot as usize];
        if place.uses == key.uses { place.call.as_mut() } else { None }
    }

    /// Ends the call, if it still waits.
    pub(crate) fn take(&mut self, key: CallKey) -> Option<Call> {
        self.get_mut(key)?;
        let place = &mut self.slots[key.slot as usize];
        place.uses = place.uses.wrapping_add(1);
        self.free.push(key.slot);
        place.call.take()
    }

    /// Dooms the calls that a vanished server has, oldest slot first.
    pub(crate) fn doom_server(&mut self, server: ServerId) -> Vec<CallKey> {
        self.doom(|route| route.to == server)
    }

    /// Dooms the calls whose replies would take a link that broke, oldest slot first.
    pub(crate) fn doom_replies(&mut self, link: LinkId) -> Vec<CallKey> {
        self.doom(|route| route.back == link)
    }

    /// Dooms one call, if the server has it. Says whether it did.
    pub(crate) fn doom_one(&mut self, key: CallKey) -> bool {
        let taken = self.get_mut(key).filter(|call| call.phase == Phase::Taken);
        taken.map(|call| call.phase = Phase::Doomed).is_some()
    }

    fn doom(&mut self, concerns: impl Fn(&Route) -> bool) -> Vec<CallKey> {
        let mut doomed = Vec::new();
        for (slot, place) in (0..).zip(&mut self.slots) {
            if let Some(call) = &mut place.call
                && call.phase == Phase::Taken
                && concerns(&call.route)
            {
                call.phase = Phase::Doomed;
                doomed.push(CallKey { slot, uses: place.uses });
            }
        }
        doomed
    }
}
