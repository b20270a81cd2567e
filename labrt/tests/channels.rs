//! Channels and `select!`: what `crossbeam_channel` promises, under every schedule.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::for_many_seeds;
use labrt::channel::{
    self, Receiver, RecvError, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError,
    TrySendError, after, bounded, never, select, tick, unbounded,
};
use labrt::node::Node;
use labrt::sim;
use labrt::thread;
use labrt::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);

#[test]
fn messages_of_one_sender_arrive_in_order_and_once() {
    for capacity in [None, Some(0), Some(1), Some(3)] {
        for_many_seeds(move || {
            let (send, receive) = capacity.map_or_else(unbounded, bounded);
            for sender in 0..3 {
                let send = send.clone();
                thread::spawn(move || {
                    for n in 0..10 {
                        send.send((sender, n)).unwrap();
                    }
                });
            }
            drop(send);
            let takers: Vec<_> = (0..2)
                .map(|_| {
                    let receive = receive.clone();
                    thread::spawn(move || receive.iter().collect::<Vec<(u32, u32)>>())
                })
                .collect();
            drop(receive);
            let taken: Vec<Vec<_>> =
                takers.into_iter().map(|taker| taker.join().unwrap()).collect();
            for list in &taken {
                for sender in 0..3 {
                    let own: Vec<_> = list.iter().filter(|(from, _)| *from == sender).collect();
                    assert!(own.is_sorted(), "{own:?}");
                }
            }
            let mut all = taken.concat();
            all.sort_unstable();
            let expected: Vec<_> = (0..3).flat_map(|s| (0..10).map(move |n| (s, n))).collect();
            assert_eq!(all, expected);
        });
    }
}

#[test]
fn a_full_channel_blocks_its_senders() {
    for_many_seeds(|| {
        let (send, receive) = bounded(2);
        send.send(1).unwrap();
        send.send(2).unwrap();
        assert_eq!(send.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!(send.send_timeout(3, 5 * MS), Err(SendTimeoutError::Timeout(3)));
        assert!(send.is_full() && receive.len() == 2);
        thread::spawn(move || {
            sleep(10 * MS);
            assert_eq!(receive.recv(), Ok(1));
            sleep(MS);
        });
        let began = Instant::now();
        send.send(3).unwrap();
        assert!(began.elapsed() >= 9 * MS);
        sleep(2 * MS);
        assert_eq!(send.send(4), Err(channel::SendError(4)), "the receiver is gone");
        assert_eq!(send.try_send(4), Err(TrySendError::Disconnected(4)));
    });
}

#[test]
fn a_channel_without_room_hands_over() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        assert_eq!(send.try_send(1), Err(TrySendError::Full(1)), "nobody receives");
        assert_eq!(send.send_timeout(1, 5 * MS), Err(SendTimeoutError::Timeout(1)));
        assert_eq!(receive.try_recv(), Err(TryRecvError::Empty), "what was not sent is not there");
        let taker = thread::spawn(move || {
            sleep(10 * MS);
            let first = receive.recv().unwrap();
            let second = receive.recv().unwrap();
            (first, second)
        });
        let began = Instant::now();
        send.send(2).unwrap();
        assert!(began.elapsed() >= 9 * MS, "the send ends when the message is taken");
        sleep(MS);
        assert_eq!(send.try_send(3), Ok(()), "somebody receives");
        assert_eq!(taker.join().unwrap(), (2, 3));
        assert!(send.send(4).is_err());
    });
}

#[test]
fn disconnection_comes_after_the_last_message() {
    for_many_seeds(|| {
        let (send, receive) = unbounded();
        send.send(1).unwrap();
        drop(send);
        assert_eq!(receive.recv(), Ok(1));
        assert_eq!(receive.recv(), Err(RecvError));
        assert_eq!(receive.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(receive.recv_timeout(MS), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn receiving_with_a_deadline() {
    for_many_seeds(|| {
        let (send, receive) = unbounded::<u32>();
        let began = Instant::now();
        assert_eq!(receive.recv_timeout(7 * MS), Err(RecvTimeoutError::Timeout));
        let waited = began.elapsed();
        assert!((7 * MS..8 * MS).contains(&waited), "{waited:?}");
        send.send(1).unwrap();
        assert_eq!(receive.recv_timeout(Duration::ZERO), Ok(1));
    });
}

#[test]
fn timers_as_receivers() {
    for_many_seeds(|| {
        let (once, beat) = (after(5 * MS), tick(2 * MS));
        assert_eq!(once.try_recv(), Err(TryRecvError::Empty));
        assert!(once.recv().unwrap() <= Instant::now());
        assert!(sim::elapsed() >= 5 * MS);
        assert_eq!(once.recv_timeout(20 * MS), Err(RecvTimeoutError::Timeout), "only once");
        let beats = (0..3).map(|_| beat.recv().unwrap()).collect::<Vec<_>>();
        assert!(beats.is_sorted());
        let _late = never::<()>().recv_timeout(MS).unwrap_err();
    });
}

/// Merges two channels until both are done, and counts the beats of a clock meanwhile.
fn merge(a: &Receiver<u32>, b: &Receiver<u32>) -> (Vec<u32>, u32) {
    let (mut got, mut beats, mut open) = (Vec::new(), 0, 2);
    let clock = tick(MS);
    let (mut a, mut b) = (a.clone(), b.clone());
    while open > 0 {
        select! {
            recv(a) -> message => if let Ok(n) = message {
                got.push(n);
            } else {
                open -= 1;
                a = never();
            },
            recv(b) -> message => {
                let Ok(n) = message else {
                    open -= 1;
                    b = never();
                    continue;
                };
                got.push(n);
            }
            recv(clock) -> _ => beats += 1,
        }
    }
    (got, beats)
}

#[test]
fn select_loses_nothing() {
    for_many_seeds(|| {
        let produce = |send: Sender<u32>, from: u32| {
            thread::spawn(move || {
                for n in from..from + 10 {
                    sleep(MS);
                    send.send(n).unwrap();
                }
            })
        };
        let (send_a, a) = bounded(0);
        let (send_b, b) = bounded(1);
        produce(send_a, 0);
        produce(send_b, 100);
        let (mut got, beats) = merge(&a, &b);
        got.sort_unstable();
        assert_eq!(got, (0..10).chain(100..110).collect::<Vec<_>>());
        assert!((5..=30).contains(&beats), "{beats}");
    });
}

/// Woken for one channel and taking from another, a task must not keep others asleep.
#[test]
fn select_passes_wake_ups_on() {
    for_many_seeds(|| {
        let (send_a, a) = unbounded();
        let (send_b, b) = unbounded();
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let (a, b) = (a.clone(), b.clone());
                thread::spawn(move || {
                    select! {
                        recv(a) -> message => message.unwrap(),
                        recv(b) -> message => message.unwrap(),
                    }
                })
            })
            .collect();
        sleep(MS);
        send_a.send(1).unwrap();
        send_b.send(2).unwrap();
        let mut got: Vec<u32> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn select_sends_and_falls_back() {
    for_many_seeds(|| {
        let (send, receive) = bounded(1);
        let full = |value| {
            select! {
                send(send, value) -> result => { result.unwrap(); false }
                default => true,
            }
        };
        assert!(!full(1));
        assert!(full(2));
        let began = Instant::now();
        let timed_out = select! {
            send(send, 3) -> _ => false,
            default(5 * MS) => true,
        };
        assert!(timed_out && began.elapsed() >= 5 * MS);
        assert_eq!(receive.try_iter().collect::<Vec<_>>(), [1]);
        drop(receive);
        let disconnected = select! { send(send, 4) -> result => result.is_err() };
        assert!(disconnected, "a disconnected channel is ready, with an error");
    });
}

/// Whoever hears of a message may end the node that has just taken it, which does nothing more.
#[test]
fn a_tap_ends_whoever_has_a_message_in_hand() {
    for_many_seeds(|| {
        sim::tap(|message: &u32| {
            if *message == 2 {
                Node::current().kill();
            }
        });
        for select in [false, true] {
            let (send, receive) = channel::unbounded::<u32>();
            let done = Arc::new(AtomicU32::new(0));
            let sum = Arc::clone(&done);
            let node = Node::new("S1");
            let task = move || {
                loop {
                    let message = if select {
                        channel::select! { recv(receive) -> message => message }
                    } else {
                        receive.recv()
                    };
                    sum.fetch_add(message.unwrap(), Ordering::Relaxed);
                }
            };
            drop(node.spawn(task));
            for message in 1..=3 {
                let _ = send.send(message);
            }
            sleep(MS);
            assert!(!node.is_alive());
            assert_eq!(done.load(Ordering::Relaxed), 1);
        }
    });
}

#[test]
fn a_select_that_sends_meets_a_receiver_that_comes_later() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        let sender = thread::spawn(move || select! { send(send, 7) -> result => result.unwrap() });
        sleep(MS); // it waits by now
        assert_eq!(receive.recv(), Ok(7));
        sender.join().unwrap();
    });
}

#[test]
fn a_select_that_sends_meets_one_that_does_not_wait() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        let (_stop, stopped) = bounded::<()>(0);
        let sender = thread::spawn(move || {
            select! {
                send(send, 7) -> result => result.unwrap(),
                recv(stopped) -> _ => unreachable!("nobody stops it"),
            }
        });
        sleep(MS);
        assert_eq!(receive.try_recv(), Ok(7));
        sender.join().unwrap();
    });
}

#[test]
fn two_selects_meet() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        let sender = thread::spawn(move || select! { send(send, 7) -> result => result.unwrap() });
        let received = select! { recv(receive) -> message => message };
        assert_eq!(received, Ok(7));
        sender.join().unwrap();
    });
}

#[test]
fn a_message_that_nobody_took_comes_back_when_the_last_receiver_is_dropped() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        let sender = thread::spawn(move || send.send(7));
        sleep(MS);
        drop(receive);
        assert_eq!(sender.join().unwrap(), Err(labrt::channel::SendError(7)));
    });
}

#[test]
fn each_receiver_that_waits_can_be_sent_to_at_once() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let receive = receive.clone();
                thread::spawn(move || receive.recv())
            })
            .collect();
        sleep(MS);
        assert_eq!((send.try_send(1), send.try_send(2)), (Ok(()), Ok(())));
        assert_eq!(send.try_send(3), Err(TrySendError::Full(3)));
        let mut received: Vec<_> =
            receivers.into_iter().map(|r| r.join().unwrap().unwrap()).collect();
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
    });
}

#[test]
fn a_channel_without_room_is_empty_and_full() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        let other = send.clone();
        let sender = thread::spawn(move || other.send(7));
        sleep(MS);
        assert_eq!((receive.len(), send.len()), (0, 0));
        assert!(receive.is_empty() && send.is_empty() && send.is_full());
        assert_eq!(receive.recv(), Ok(7));
        sender.join().unwrap().unwrap();
    });
}

/// The other task starts again when its partner dies between the meeting and the message.
#[test]
fn a_partner_that_is_killed_while_it_makes_the_message_leaves_the_other_waiting() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        let node = Node::new("sender");
        let from_node = send.clone();
        node.spawn(move || {
            let slow = || {
                sleep(10 * MS);
                1
            };
            select! { send(from_node, slow()) -> result => result.unwrap() }
        });
        let receiver = thread::spawn(move || receive.recv());
        sleep(5 * MS);
        node.kill();
        send.send(2).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(2));
    });
}

/// A receiver that is killed before it ran has taken nothing: the message goes to the next one.
#[test]
fn a_message_is_not_lost_with_a_receiver_that_never_ran() {
    for_many_seeds(|| {
        let (send, receive) = bounded(0);
        let (killed, lives) = (Node::new("killed"), Node::new("lives"));
        let first = receive.clone();
        killed.spawn(move || {
            let _ = first.recv();
        });
        sleep(MS);
        let sender = thread::spawn(move || send.send(7));
        thread::yield_now();
        killed.kill();
        let second = thread::spawn(move || lives.run(|| receive.recv_timeout(10 * MS)).unwrap());
        let received = second.join().unwrap();
        // Either the first had it before it died, or the second has it.
        assert!(sender.join().unwrap().is_ok());
        assert!(
            received == Ok(7) || received == Err(RecvTimeoutError::Disconnected),
            "{received:?}"
        );
    });
}

/// As `crossbeam_channel::tick`.
#[test]
fn after_a_late_beat_a_ticker_waits_a_whole_period() {
    for_many_seeds(|| {
        let ticker = tick(10 * MS);
        sleep(35 * MS);
        let late = Instant::now();
        ticker.recv().unwrap();
        ticker.recv().unwrap();
        assert!(late.elapsed() >= 10 * MS, "{:?}", late.elapsed());
    });
}
