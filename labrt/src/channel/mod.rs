//! Channels, under `crossbeam_channel`'s names: many senders, many receivers, [`select!`].

mod error;
mod queue;
mod rendezvous;
mod select;
pub(crate) mod tap;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use crate::select;
pub use error::{
    RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySelectError, TrySendError,
};
pub use select::{Select, SelectedOperation};

use crate::kernel::{Key, Park};
use crate::mode::{Mode, mode};
use crate::real;
use crate::task::{self, Woken, park};
use crate::time::Instant;
use queue::Queue;
use rendezvous::{Rendezvous, Side};

/// A channel that holds any number of messages: sending never blocks.
pub fn unbounded<T: 'static>() -> (Sender<T>, Receiver<T>) {
    ends(None)
}

/// A channel that holds at most `capacity` messages: sending blocks while it is full. With capacity
/// 0 a send waits until a receiver has taken the message.
pub fn bounded<T: 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    ends(Some(capacity))
}

/// A receiver that gets one message, the time, when `delay` has passed.
///
/// # Panics
///
/// Outside a simulation.
#[track_caller]
pub fn after(delay: Duration) -> Receiver<Instant> {
    timer(Instant::now() + delay, None)
}

/// A receiver that gets the time every `period`. Beats that nobody takes in time are left out: after a
/// late one, the next comes a `period` later.
///
/// # Panics
///
/// Outside a simulation, or if `period` is zero.
#[track_caller]
pub fn tick(period: Duration) -> Receiver<Instant> {
    assert!(!period.is_zero(), "a ticker needs a period");
    timer(Instant::now() + period, Some(period))
}

/// A receiver that never gets anything.
pub fn never<T>() -> Receiver<T> {
    Receiver { source: Source::Never }
}

fn timer(due: Instant, period: Option<Duration>) -> Receiver<Instant> {
    Receiver { source: Source::Timer(Arc::new(Timer { due: Mutex::new(Some(due)), period })) }
}

fn ends<T: 'static>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    if mode() == Mode::Real {
        let (send, receive) = match capacity {
            None => crossbeam_channel::unbounded(),
            Some(capacity) => crossbeam_channel::bounded(capacity),
        };
        return (Sender { target: Target::Real(send) }, Receiver { source: Source::Real(receive) });
    }
    if capacity == Some(0) {
        let meeting = Arc::new(Rendezvous::new(tap::of()));
        let target = Target::Rendezvous(Arc::clone(&meeting));
        return (Sender { target }, Receiver { source: Source::Rendezvous(meeting) });
    }
    let queue = Arc::new(Queue::new(capacity, tap::of()));
    (Sender { target: Target::Queue(queue.clone()) }, Receiver { source: Source::Queue(queue) })
}

/// The sending end of a channel. Clones share it; when the last is gone the channel is disconnected.
pub struct Sender<T> {
    target: Target<T>,
}

/// The receiving end of a channel. Clones share it, and each message goes to one of them.
pub struct Receiver<T> {
    source: Source<T>,
}

/// Where messages go.
enum Target<T> {
    Queue(Arc<Queue<T>>),
    Rendezvous(Arc<Rendezvous<T>>),
    /// In the real engine.
    Real(crossbeam_channel::Sender<T>),
}

/// Where messages come from.
enum Source<T> {
    Queue(Arc<Queue<T>>),
    Rendezvous(Arc<Rendezvous<T>>),
    /// In the real engine.
    Real(crossbeam_channel::Receiver<T>),
    Timer(Arc<dyn Clocked<T>>),
    Never,
}

/// A source that only time fills.
trait Clocked<T>: Send + Sync {
    fn try_take(&self) -> Option<T>;
    /// When the next message will be there.
    fn due(&self) -> Option<Instant>;
}

struct Timer {
    due: Mutex<Option<Instant>>,
    period: Option<Duration>,
}

impl Clocked<Instant> for Timer {
    fn try_take(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut due = self.due.lock();
        let at = due.filter(|at| *at <= now)?;
        *due = self.period.map(|period| at.max(now) + period);
        Some(at)
    }

    fn due(&self) -> Option<Instant> {
        *self.due.lock()
    }
}

impl<T> Sender<T> {
    /// Sends, and blocks while the channel is full.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message if no receiver is left, or if this task is being unwound and
    /// would have to wait.
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.send_until(message, None, Location::caller()).map_err(|e| SendError(e.into_inner()))
    }

    /// Sends if that is possible without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] with the message.
    #[track_caller]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        task::preemption_point();
        self.try_put(message)
    }

    fn try_put(&self, message: T) -> Result<(), TrySendError<T>> {
        match &self.target {
            Target::Queue(queue) => queue.try_put(message),
            Target::Rendezvous(channel) => channel.try_send(message),
            Target::Real(send) => send.try_send(message).map_err(|e| match e {
                crossbeam_channel::TrySendError::Full(message) => TrySendError::Full(message),
                crossbeam_channel::TrySendError::Disconnected(message) => {
                    TrySendError::Disconnected(message)
                }
            }),
        }
    }

    /// Sends, and blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`] with the message.
    #[track_caller]
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(message, Some(Instant::now() + timeout), Location::caller())
    }

    fn send_until(
        &self,
        mut message: T,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<(), SendTimeoutError<T>> {
        task::preemption_point();
        let queue = match &self.target {
            Target::Rendezvous(channel) => return channel.send(message, deadline, location),
            Target::Queue(queue) => queue,
            Target::Real(sender) => {
                let sent = real::send(sender, message, deadline.map(Instant::to_wall));
                return sent.map_err(|e| match e {
                    crossbeam_channel::SendTimeoutError::Timeout(message) => {
                        SendTimeoutError::Timeout(message)
                    }
                    crossbeam_channel::SendTimeoutError::Disconnected(message) => {
                        SendTimeoutError::Disconnected(message)
                    }
                });
            }
        };
        loop {
            match queue.try_put(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(lost)) => {
                    return Err(SendTimeoutError::Disconnected(lost));
                }
                Err(TrySendError::Full(back)) => message = back,
            }
            match wait_to_send(queue, "room in a channel", deadline, location) {
                Woken::Notified => {}
                Woken::TimedOut => return Err(SendTimeoutError::Timeout(message)),
                Woken::Refused => return Err(SendTimeoutError::Disconnected(message)),
            }
        }
    }

    /// How many messages wait to be received.
    pub fn len(&self) -> usize {
        match &self.target {
            Target::Queue(queue) => queue.len(),
            Target::Rendezvous(_) => 0,
            Target::Real(send) => send.len(),
        }
    }

    /// Does no message wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is there no room?
    pub fn is_full(&self) -> bool {
        self.capacity().is_some_and(|capacity| self.len() >= capacity)
    }

    /// How many messages there is room for; `None` for no limit.
    pub fn capacity(&self) -> Option<usize> {
        match &self.target {
            Target::Queue(queue) => queue.capacity(),
            Target::Rendezvous(_) => Some(0),
            Target::Real(send) => send.capacity(),
        }
    }

    /// Are both ends of one channel?
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        match (&self.target, &other.target) {
            (Target::Queue(a), Target::Queue(b)) => Arc::ptr_eq(a, b),
            (Target::Rendezvous(a), Target::Rendezvous(b)) => Arc::ptr_eq(a, b),
            (Target::Real(a), Target::Real(b)) => a.same_channel(b),
            _ => false,
        }
    }
}

fn wait_to_send<T>(
    queue: &Queue<T>,
    what: &'static str,
    deadline: Option<Instant>,
    location: &'static Location<'static>,
) -> Woken {
    let keys = &[queue.send_key()];
    park(&Park { what, keys, deadline: deadline.map(Instant::to_true), location })
}

impl<T> Receiver<T> {
    /// Blocks until a message is there.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is empty and no sender is left, or if this task is being unwound
    /// and would have to wait.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(None, Location::caller()).map_err(|_| RecvError)
    }

    /// Takes a message if one is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        task::preemption_point();
        self.try_take(Location::caller())
    }

    /// Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(Instant::now() + timeout), Location::caller())
    }

    /// Blocks until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline), Location::caller())
    }

    fn recv_until(
        &self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<T, RecvTimeoutError> {
        task::preemption_point();
        if let Source::Real(receive) = &self.source {
            let received = real::recv(receive, deadline.map(Instant::to_wall));
            return received.map_err(|e| match e {
                crossbeam_channel::RecvTimeoutError::Timeout => RecvTimeoutError::Timeout,
                crossbeam_channel::RecvTimeoutError::Disconnected => RecvTimeoutError::Disconnected,
            });
        }
        if let Source::Rendezvous(channel) = &self.source {
            return channel.recv(deadline, location);
        }
        let mut late = false;
        loop {
            match self.try_take(location) {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) if late => return Err(RecvTimeoutError::Timeout),
                Err(TryRecvError::Empty) => {}
            }
            match self.wait(self.due().into_iter().chain(deadline).min(), location) {
                Woken::Notified => {}
                Woken::TimedOut => late = deadline.is_some_and(|limit| limit <= Instant::now()),
                Woken::Refused => return Err(RecvTimeoutError::Disconnected),
            }
        }
    }

    fn wait(&self, until: Option<Instant>, location: &'static Location<'static>) -> Woken {
        if mode() == Mode::Real {
            // A timer: for anything else the real engine's own channels wait themselves.
            real::wait_until(until.map(Instant::to_wall));
            return if std::thread::panicking() { Woken::Refused } else { Woken::TimedOut };
        }
        let (what, key) = ("a message", self.key());
        let deadline = until.map(Instant::to_true);
        park(&Park { what, keys: key.as_slice(), deadline, location })
    }

    fn try_take(&self, location: &'static Location<'static>) -> Result<T, TryRecvError> {
        match &self.source {
            Source::Queue(queue) => queue.take_and_tell(),
            Source::Rendezvous(channel) => channel.try_recv(location),
            Source::Real(receive) => receive.try_recv().map_err(|e| match e {
                crossbeam_channel::TryRecvError::Empty => TryRecvError::Empty,
                crossbeam_channel::TryRecvError::Disconnected => TryRecvError::Disconnected,
            }),
            Source::Timer(timer) => timer.try_take().ok_or(TryRecvError::Empty),
            Source::Never => Err(TryRecvError::Empty),
        }
    }

    /// When time alone will bring a message.
    fn due(&self) -> Option<Instant> {
        match &self.source {
            Source::Timer(timer) => timer.due(),
            Source::Queue(_) | Source::Rendezvous(_) | Source::Real(_) | Source::Never => None,
        }
    }

    /// What to wait on for a message that somebody sends.
    fn key(&self) -> Option<Key> {
        match &self.source {
            Source::Queue(queue) => Some(queue.receive_key()),
            Source::Rendezvous(_) | Source::Real(_) | Source::Timer(_) | Source::Never => None,
        }
    }

    /// Messages until the channel is disconnected; blocks in between.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there now.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// How many messages wait to be received.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Queue(queue) => queue.len(),
            Source::Real(receive) => receive.len(),
            Source::Timer(timer) => {
                usize::from(timer.due().is_some_and(|due| due <= Instant::now()))
            }
            Source::Rendezvous(_) | Source::Never => 0,
        }
    }

    /// Does no message wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// See [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

/// See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

/// Owns the receiver; otherwise as [`Iter`].
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let target = match &self.target {
            Target::Queue(queue) => {
                queue.add_sender();
                Target::Queue(queue.clone())
            }
            Target::Rendezvous(channel) => {
                channel.add_end(Side::Sending);
                Target::Rendezvous(channel.clone())
            }
            Target::Real(send) => Target::Real(send.clone()),
        };
        Sender { target }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        match &self.target {
            Target::Queue(queue) => queue.drop_sender(),
            Target::Rendezvous(channel) => channel.drop_end(Side::Sending),
            Target::Real(_) => {}
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let source = match &self.source {
            Source::Queue(queue) => {
                queue.add_receiver();
                Source::Queue(queue.clone())
            }
            Source::Rendezvous(channel) => {
                channel.add_end(Side::Receiving);
                Source::Rendezvous(channel.clone())
            }
            Source::Real(receive) => Source::Real(receive.clone()),
            Source::Timer(timer) => Source::Timer(timer.clone()),
            Source::Never => Source::Never,
        };
        Receiver { source }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        match &self.source {
            Source::Queue(queue) => queue.drop_receiver(),
            Source::Rendezvous(channel) => channel.drop_end(Side::Receiving),
            Source::Real(_) | Source::Timer(_) | Source::Never => {}
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver { .. }")
    }
}
