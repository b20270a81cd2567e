//! The queue behind a channel that has room. Its lock is a plain one, never held while a task waits.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::tap::Tap;
use super::{TryRecvError, TrySendError};
use crate::kernel::{self, Key, Kind};
use crate::live::Live;

pub(super) struct Queue<T> {
    /// `None` for no limit.
    capacity: Option<usize>,
    state: Mutex<State<T>>,
    /// Hears of each message that is taken.
    tap: Option<Tap<T>>,
    _live: Live,
}

struct State<T> {
    messages: VecDeque<T>,
    senders: usize,
    receivers: usize,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: Option<usize>, tap: Option<Tap<T>>) -> Self {
        let state = State { messages: VecDeque::new(), senders: 1, receivers: 1 };
        let live = Live::new();
        live.note();
        Queue { capacity, state: Mutex::new(state), tap, _live: live }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().messages.len()
    }

    /// Takes a message if one is there, and tells whoever listens.
    pub(super) fn take_and_tell(&self) -> Result<T, TryRecvError> {
        let message = self.try_take()?;
        if let Some(tap) = &self.tap {
            tap(&message);
        }
        Ok(message)
    }

    fn try_take(&self) -> Result<T, TryRecvError> {
        let mut state = self.state.lock();
        match state.messages.pop_front() {
            Some(message) => {
                drop(state);
                self.wake_senders();
                Ok(message)
            }
            None if state.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Puts a message in if there is room.
    pub(super) fn try_put(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut state = self.state.lock();
        if state.receivers == 0 {
            return Err(TrySendError::Disconnected(message));
        }
        if !self.has_room(&state) {
            return Err(TrySendError::Full(message));
        }
        state.messages.push_back(message);
        drop(state);
        self.wake_receiver();
        Ok(())
    }

    pub(super) fn can_take(&self) -> bool {
        let state = self.state.lock();
        !state.messages.is_empty() || state.senders == 0
    }

    pub(super) fn can_put(&self) -> bool {
        let state = self.state.lock();
        state.receivers == 0 || self.has_room(&state)
    }

    fn has_room(&self, state: &State<T>) -> bool {
        self.capacity.is_none_or(|capacity| state.messages.len() < capacity)
    }

    pub(super) fn add_sender(&self) {
        self.state.lock().senders += 1;
    }

    pub(super) fn add_receiver(&self) {
        self.state.lock().receivers += 1;
    }

    pub(super) fn drop_sender(&self) {
        let mut state = self.state.lock();
        state.senders -= 1;
        if state.senders == 0 {
            drop(state);
            let key = self.receive_key();
            kernel::try_with(|kernel| kernel.wake_all(key));
        }
    }

    pub(super) fn drop_receiver(&self) {
        let mut state = self.state.lock();
        state.receivers -= 1;
        if state.receivers == 0 {
            let lost = std::mem::take(&mut state.messages);
            drop(state);
            let key = self.send_key();
            kernel::try_with(|kernel| kernel.wake_all(key));
            drop(lost); // destructors of messages may use this very channel
        }
    }

    pub(super) fn receive_key(&self) -> Key {
        Key::of(&raw const self.state, Kind::Receive)
    }

    pub(super) fn send_key(&self) -> Key {
        Key::of(&raw const self.state, Kind::Send)
    }

    pub(super) fn wake_receiver(&self) {
        let key = self.receive_key();
        kernel::with(|kernel| kernel.wake_one(key));
    }

    /// There is room.
    pub(super) fn wake_senders(&self) {
        if self.capacity.is_some() {
            let key = self.send_key();
            kernel::with(|kernel| kernel.wake_one(key));
        }
    }
}
