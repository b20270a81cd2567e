//! The channel without room of its own: a message goes from one hand to the other, or not at all.
//!
//! A task that has to wait leaves a [`Waiter`] on the channel, with a [`Packet`] for the message. Whoever
//! comes from the other side *claims* a waiter, and from then on the two belong to each other: the waiter
//! can neither time out nor be claimed by anybody else. A sender that waits has put its message into the
//! packet; a receiver finds the message in it when it wakes up.
//!
//! A `select!` waits on several channels with one [`Claim`], so that only one of its arms is claimed. The
//! message of a `send` arm exists only once the arm is chosen, which is why a packet may be empty for a
//! while after its waiter was claimed. If one of the two dies in that time, the other starts again.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::tap::Tap;
use super::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::kernel::{self, Key, Kind, Park};
use crate::live::Live;
use crate::task::{Woken, park};
use crate::time::Instant;

/// A channel of capacity 0.
pub(super) struct Rendezvous<T> {
    state: Mutex<State<T>>,
    /// Hears of each message that is taken.
    tap: Option<Tap<T>>,
    _live: Live,
}

struct State<T> {
    senders: usize,
    receivers: usize,
    /// Senders that wait, in the order of their arrival.
    sending: Vec<Waiter<T>>,
    receiving: Vec<Waiter<T>>,
    /// What a `select!` has chosen and not completed yet, with the claim of the `select!`.
    begun: Vec<(Arc<Claim>, Waiter<T>)>,
}

/// A task that waits on a channel, with one operation.
struct Waiter<T> {
    claim: Arc<Claim>,
    /// Which operation this is among those that share the claim.
    arm: usize,
    packet: Arc<Packet<T>>,
}

/// Which of the operations that a task waits with has met its partner.
pub(super) struct Claim {
    arm: AtomicUsize,
}

/// Where a message passes from a sender to a receiver.
struct Packet<T> {
    content: Mutex<Content<T>>,
}

enum Content<T> {
    /// No message yet.
    Empty,
    /// The message, until the receiver takes it.
    Full(T),
    /// The receiver has it.
    Taken,
    /// One of the two is gone, and this was not taken: the other one starts again.
    Withdrawn(Option<T>),
}

/// The two sides of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Sending,
    Receiving,
}

/// No operation has been claimed.
const FREE: usize = usize::MAX;

impl Claim {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Claim { arm: AtomicUsize::new(FREE) })
    }

    /// The operation that has met its partner.
    pub(super) fn claimed(&self) -> Option<usize> {
        Some(self.arm.load(Ordering::Relaxed)).filter(|arm| *arm != FREE)
    }

    fn set(&self, arm: usize) {
        self.arm.store(arm, Ordering::Relaxed);
    }

    /// Tells the task that it was claimed, or that it should look again.
    pub(super) fn key(&self) -> Key {
        Key::of(&raw const self.arm, Kind::Receive)
    }
}

impl<T> Packet<T> {
    fn new(content: Content<T>) -> Arc<Self> {
        Arc::new(Packet { content: Mutex::new(content) })
    }

    /// Tells of each change of the content.
    fn key(&self) -> Key {
        Key::of(&raw const self.content, Kind::Send)
    }

    /// Puts the message in, unless the packet was withdrawn.
    fn fill(&self, message: T) -> Result<(), T> {
        let mut content = self.content.lock();
        if !matches!(*content, Content::Empty) {
            return Err(message);
        }
        *content = Content::Full(message);
        Ok(())
    }

    /// Takes the message out.
    fn take(&self) -> Option<T> {
        let mut content = self.content.lock();
        match std::mem::replace(&mut *content, Content::Taken) {
            Content::Full(message) => Some(message),
            other => {
                *content = other;
                None
            }
        }
    }

    fn is_taken(&self) -> bool {
        matches!(*self.content.lock(), Content::Taken)
    }

    /// Is nobody there to fill or to take it?
    fn is_withdrawn(&self) -> bool {
        matches!(*self.content.lock(), Content::Withdrawn(_))
    }

    /// The message that a receiver has left behind.
    fn take_back(&self) -> Option<T> {
        match &mut *self.content.lock() {
            Content::Withdrawn(message) => message.take(),
            Content::Empty | Content::Full(_) | Content::Taken => None,
        }
    }

    /// Its owner is gone. What a sender has put in can still be taken.
    fn withdraw(&self, owner: Side) {
        let mut content = self.content.lock();
        *content = match std::mem::replace(&mut *content, Content::Taken) {
            Content::Empty => Content::Withdrawn(None),
            Content::Full(message) if owner == Side::Receiving => Content::Withdrawn(Some(message)),
            other => other,
        };
    }
}

impl<T> Waiter<T> {
    fn new(content: Content<T>) -> Self {
        Waiter { claim: Claim::new(), arm: 0, packet: Packet::new(content) }
    }

    fn is_free(&self) -> bool {
        self.claim.claimed().is_none()
    }

    /// Whoever waits for this looks again.
    fn notify(&self) {
        let (packet, claim) = (self.packet.key(), self.claim.key());
        kernel::try_with(|kernel| {
            kernel.wake_all(packet);
            kernel.wake_all(claim);
        });
    }
}

impl<T> Clone for Waiter<T> {
    fn clone(&self) -> Self {
        let (claim, packet) = (Arc::clone(&self.claim), Arc::clone(&self.packet));
        Waiter { claim, arm: self.arm, packet }
    }
}

impl<T> State<T> {
    fn waiters(&mut self, side: Side) -> &mut Vec<Waiter<T>> {
        match side {
            Side::Sending => &mut self.sending,
            Side::Receiving => &mut self.receiving,
        }
    }

    fn has_free(&self, side: Side) -> bool {
        match side {
            Side::Sending => self.sending.iter().any(Waiter::is_free),
            Side::Receiving => self.receiving.iter().any(Waiter::is_free),
        }
    }

    /// Claims one that waits: of the senders the first, of the receivers the schedule's choice.
    fn claim(&mut self, side: Side) -> Option<Waiter<T>> {
        let free: Vec<&Waiter<T>> = self.waiters(side).iter().filter(|w| w.is_free()).collect();
        let chosen = match (side, free.len()) {
            (Side::Receiving, n) if n > 1 => kernel::with(|kernel| kernel.choose(n)),
            _ => 0,
        };
        let waiter = (*free.get(chosen)?).clone();
        waiter.claim.set(waiter.arm);
        Some(waiter)
    }

    fn ends(&mut self, side: Side) -> &mut usize {
        match side {
            Side::Sending => &mut self.senders,
            Side::Receiving => &mut self.receivers,
        }
    }
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Sending => Side::Receiving,
            Side::Receiving => Side::Sending,
        }
    }
}

impl<T> Rendezvous<T> {
    pub(super) fn new(tap: Option<Tap<T>>) -> Self {
        let (sending, receiving, begun) = (Vec::new(), Vec::new(), Vec::new());
        let state = State { senders: 1, receivers: 1, sending, receiving, begun };
        let live = Live::new();
        live.note();
        Rendezvous { state: Mutex::new(state), tap, _live: live }
    }

    /// Hands the message to a receiver that waits.
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.give(message).map(drop)
    }

    /// Hands the message to a receiver that waits, and returns the packet that it is in.
    fn give(&self, message: T) -> Result<Arc<Packet<T>>, TrySendError<T>> {
        let mut state = self.state.lock();
        if state.receivers == 0 {
            return Err(TrySendError::Disconnected(message));
        }
        let Some(receiver) = state.claim(Side::Receiving) else {
            return Err(TrySendError::Full(message));
        };
        drop(state);
        receiver.packet.fill(message).map_err(TrySendError::Full)?;
        receiver.notify();
        Ok(receiver.packet)
    }

    /// Hands the message to a receiver, and waits for one until `deadline`.
    pub(super) fn send(
        &self,
        mut message: T,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<(), SendTimeoutError<T>> {
        loop {
            match self.give(message) {
                Ok(packet) => match wait_until_taken(&packet, deadline, location) {
                    Ok(()) => return Ok(()),
                    Err(back) => message = back, // the receiver died before it ran
                },
                Err(TrySendError::Disconnected(message)) => {
                    return Err(SendTimeoutError::Disconnected(message));
                }
                Err(TrySendError::Full(message)) => {
                    return self.wait_to_send(message, deadline, location);
                }
            }
        }
    }

    fn wait_to_send(
        &self,
        message: T,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<(), SendTimeoutError<T>> {
        let waiting = self.wait_as(Side::Sending, Waiter::new(Content::Full(message)));
        let Waiter { packet, .. } = &waiting.waiter;
        let mut end: Option<fn(T) -> SendTimeoutError<T>> = None;
        loop {
            if packet.is_taken() {
                return Ok(());
            }
            if waiting.waiter.is_free() {
                if self.is_disconnected(Side::Sending) {
                    end = Some(SendTimeoutError::Disconnected);
                }
                if let Some(end) = end {
                    return packet.take().map_or(Ok(()), |message| Err(end(message)));
                }
            }
            // Who has been claimed waits for its partner, however late it is.
            let deadline = deadline.filter(|_| end.is_none());
            match wait("a receiver", packet.key(), deadline, location) {
                Woken::Notified => {}
                Woken::TimedOut => end = Some(SendTimeoutError::Timeout),
                Woken::Refused => {
                    let message = packet.take();
                    return message.map_or(Ok(()), |m| Err(SendTimeoutError::Disconnected(m)));
                }
            }
        }
    }

    /// Takes a message from a sender that waits.
    pub(super) fn try_recv(&self, location: &'static Location<'static>) -> Result<T, TryRecvError> {
        loop {
            let mut state = self.state.lock();
            let Some(sender) = state.claim(Side::Sending) else {
                let is_disconnected = state.senders == 0;
                return Err(if is_disconnected {
                    TryRecvError::Disconnected
                } else {
                    TryRecvError::Empty
                });
            };
            drop(state);
            if let Some(message) = self.take_from(&sender, location) {
                return Ok(message);
            }
        }
    }

    /// Takes a message, and waits for one until `deadline`.
    pub(super) fn recv(
        &self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<T, RecvTimeoutError> {
        loop {
            match self.try_recv(location) {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            if let Some(received) = self.wait_to_receive(deadline, location) {
                return received;
            }
        }
    }

    /// `None` if the sender that had been met is gone.
    fn wait_to_receive(
        &self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Option<Result<T, RecvTimeoutError>> {
        let waiting = self.wait_as(Side::Receiving, Waiter::new(Content::Empty));
        let waiter = &waiting.waiter;
        let mut late = false;
        loop {
            if let Some(message) = self.take_now(waiter) {
                return Some(Ok(message));
            }
            if waiter.packet.is_withdrawn() {
                return None;
            }
            if waiter.is_free() {
                if self.is_disconnected(Side::Receiving) {
                    return Some(Err(RecvTimeoutError::Disconnected));
                }
                if late {
                    return Some(Err(RecvTimeoutError::Timeout));
                }
            }
            let limit = deadline.filter(|_| !late);
            match wait("a message", waiter.packet.key(), limit, location) {
                Woken::Notified => {}
                Woken::TimedOut => late = limit.is_some_and(|limit| limit <= Instant::now()),
                Woken::Refused => return Some(Err(RecvTimeoutError::Disconnected)),
            }
        }
    }

    /// Takes the message of a waiter that was claimed, and waits until its `select!` has made it. `None`
    /// if that never happens.
    fn take_from(&self, waiter: &Waiter<T>, location: &'static Location<'static>) -> Option<T> {
        let mut told = false;
        loop {
            if let Some(message) = self.take_now(waiter) {
                return Some(message);
            }
            if waiter.packet.is_withdrawn() {
                return None;
            }
            if !told {
                waiter.notify(); // it was chosen
                told = true;
            }
            if wait("a message", waiter.packet.key(), None, location) == Woken::Refused {
                waiter.packet.withdraw(Side::Receiving);
                waiter.notify();
                return None;
            }
        }
    }

    fn take_now(&self, waiter: &Waiter<T>) -> Option<T> {
        let message = waiter.packet.take()?;
        waiter.notify();
        if let Some(tap) = &self.tap {
            tap(&message);
        }
        Some(message)
    }

    /// Is the other side gone?
    pub(super) fn is_disconnected(&self, side: Side) -> bool {
        *self.state.lock().ends(side.other()) == 0
    }

    /// Could this side go ahead now, if only to find the other one gone?
    pub(super) fn is_ready(&self, side: Side) -> bool {
        self.is_disconnected(side) || self.state.lock().has_free(side.other())
    }

    pub(super) fn add_end(&self, side: Side) {
        *self.state.lock().ends(side) += 1;
    }

    pub(super) fn drop_end(&self, side: Side) {
        let mut state = self.state.lock();
        *state.ends(side) -= 1;
        if *state.ends(side) == 0 {
            let others = state.waiters(side.other()).clone();
            drop(state);
            others.iter().for_each(Waiter::notify);
        }
    }

    fn wait_as(&self, side: Side, waiter: Waiter<T>) -> Waiting<'_, T> {
        self.state.lock().waiters(side).push(waiter.clone());
        Waiting { channel: self, side, waiter }
    }

    /// A `select!` waits with this operation, among others with the same claim.
    pub(super) fn register(&self, side: Side, claim: &Arc<Claim>, arm: usize) {
        let (claim, packet) = (Arc::clone(claim), Packet::new(Content::Empty));
        self.state.lock().waiters(side).push(Waiter { claim, arm, packet });
    }

    /// A task no longer waits with this claim. If it was claimed, that is kept for `complete_*` if
    /// `arm` is the operation, and withdrawn otherwise.
    pub(super) fn unregister(&self, side: Side, claim: &Arc<Claim>, arm: Option<usize>) {
        let mut withdrawn = Vec::new();
        let mut state = self.state.lock();
        let State { sending, receiving, begun, .. } = &mut *state;
        let waiters = if side == Side::Sending { sending } else { receiving };
        for waiter in waiters.extract_if(.., |waiter| Arc::ptr_eq(&waiter.claim, claim)) {
            if claim.claimed() != Some(waiter.arm) {
                continue;
            }
            if arm == Some(waiter.arm) {
                begun.push((Arc::clone(claim), waiter));
            } else {
                withdrawn.push(waiter);
            }
        }
        drop(state);
        for waiter in withdrawn {
            waiter.packet.withdraw(side);
            waiter.notify();
        }
    }

    /// A `select!` has chosen this operation: if somebody waits on the other side, the two belong to
    /// each other from now on.
    pub(super) fn begin(&self, side: Side, claim: &Arc<Claim>) -> bool {
        let mut state = self.state.lock();
        let Some(waiter) = state.claim(side.other()) else { return false };
        state.begun.push((Arc::clone(claim), waiter));
        true
    }

    fn begun(&self, claim: &Arc<Claim>) -> Option<Waiter<T>> {
        let mut state = self.state.lock();
        let place = state.begun.iter().position(|(other, _)| Arc::ptr_eq(other, claim))?;
        Some(state.begun.swap_remove(place).1)
    }

    /// Sends what a `select!` has chosen to send. Gives the message back if its partner is gone.
    pub(super) fn complete_send(&self, claim: &Arc<Claim>, message: T) -> Result<(), T> {
        let Some(waiter) = self.begun(claim) else { return Err(message) };
        let sent = waiter.packet.fill(message);
        waiter.notify();
        sent
    }

    /// Receives what a `select!` has chosen to receive. `None` if its partner is gone.
    pub(super) fn complete_recv(
        &self,
        claim: &Arc<Claim>,
        location: &'static Location<'static>,
    ) -> Option<T> {
        let waiter = self.begun(claim)?;
        self.take_from(&waiter, location)
    }

    /// A `select!` does not complete what it has chosen.
    pub(super) fn give_up(&self, side: Side, claim: &Arc<Claim>) {
        let Some(waiter) = self.begun(claim) else { return };
        if Arc::ptr_eq(&waiter.claim, claim) {
            waiter.packet.withdraw(side);
        } else {
            waiter.claim.set(FREE); // it waits on, for somebody else
        }
        waiter.notify();
    }
}

/// A task's wait on a channel, until it is dropped, perhaps because the task was killed.
struct Waiting<'a, T> {
    channel: &'a Rendezvous<T>,
    side: Side,
    waiter: Waiter<T>,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.channel.unregister(self.side, &self.waiter.claim, None);
    }
}

fn wait(
    what: &'static str,
    key: Key,
    deadline: Option<Instant>,
    location: &'static Location<'static>,
) -> Woken {
    park(&Park { what, keys: &[key], deadline: deadline.map(Instant::to_true), location })
}

/// A receiver has been given the message, and will run soon. Gives the message back if that receiver
/// is killed first.
fn wait_until_taken<T>(
    packet: &Packet<T>,
    deadline: Option<Instant>,
    location: &'static Location<'static>,
) -> Result<(), T> {
    loop {
        if packet.is_taken() {
            return Ok(());
        }
        if let Some(message) = packet.take_back() {
            return Err(message);
        }
        if wait("a receiver", packet.key(), deadline, location) != Woken::Notified {
            return Ok(()); // what has been handed over stays so
        }
    }
}
