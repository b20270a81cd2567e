//! Servers that are killed, replaced and paused, and callers that die.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use common::{
    FOR_EVER, Junk, Name, Pair, Sleep, at_most, millis, on_both_engines, on_seeds, pair, since,
    wait_until,
};
use labrpc::{
    Conditions, DelayRange, MessageKind, NetEventKind::*, Network, NoReply, Sentence, Service,
};
use labrt::{node::Node, sim, time};

/// Without any word from the harness to the network: the node's death is enough.
#[test]
fn a_killed_server_releases_its_callers() {
    on_both_engines(50, || {
        let pair = pair();
        let call = pair.call_until(RequestDelivered, &Sleep(FOR_EVER));
        time::sleep(millis(500));
        pair.server.kill();
        let (result, took) = call.wait();
        assert_eq!(result, Err(NoReply));
        assert!((millis(500)..=at_most(millis(602))).contains(&took), "{took:?}");
        // And later calls find nobody.
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert_eq!(pair.network.requests_served("S0"), 1);
    });
}

/// What makes a crash atomic: the server said yes, but died before the word got out.
#[test]
fn a_reply_under_way_dies_with_its_server() {
    a_reply_under_way_dies_with(|pair| pair.server.kill());
}

#[test]
fn a_reply_under_way_dies_with_its_registration() {
    a_reply_under_way_dies_with(|pair| pair.network.remove("S0"));
}

#[test]
fn a_reply_under_way_dies_with_its_link() {
    a_reply_under_way_dies_with(|pair| {
        pair.network.set_link("S0", "C0", false);
        pair.network.set_link("S0", "C0", true);
    });
}

fn a_reply_under_way_dies_with(fault: impl Fn(&Pair) + Copy + Send + 'static) {
    let outcomes = Arc::new([const { AtomicU32::new(0) }; 2]);
    let counted = outcomes.clone();
    on_seeds(300, move || {
        let pair = pair();
        let call = pair.call_in_background(&Name(1));
        // Both ways together take 0.2 to 1 ms, so this falls before, on and after the reply's way.
        time::sleep(Duration::from_micros(450));
        let executed = !pair.junk.named().is_empty();
        let replied = call.is_over();
        if executed {
            fault(&pair);
        } else {
            pair.server.kill();
        }
        let (result, _) = call.wait();
        assert_eq!(result.is_ok(), replied);
        if executed {
            counted[usize::from(replied)].fetch_add(1, Relaxed);
        }
    });
    assert!(outcomes.iter().all(|n| n.load(Relaxed) > 10), "both happened: {outcomes:?}");

    // The same, with time enough to strike for certain.
    on_both_engines(10, move || {
        let pair = pair();
        let slow = Conditions { delay: DelayRange::millis(1000, 1100), ..Conditions::reliable() };
        pair.network.set_link_conditions("S0", "C0", Some(slow));
        let call = pair.call_until(ReplySent, &Name(1));
        fault(&pair);
        assert_eq!(call.wait().0, Err(NoReply));
        assert_eq!(pair.junk.named(), [1]);
        assert_eq!((pair.seen(CutOff), pair.network.stats().cut_off), (1, 1));
    });
}

/// A successor under the same name does not answer for its predecessor.
#[test]
fn a_reply_of_a_replaced_server_never_arrives() {
    on_both_engines(50, || {
        let pair = pair();
        let old = pair.call_until(RequestDelivered, &Sleep(millis(1000)));
        time::sleep(millis(100));
        let successor = Node::new("S0");
        let junk = Junk::default();
        pair.network.serve(&successor, junk.service());
        // The old node still lives, and its handler returns in 900 ms: nobody hears it.
        let (result, took) = old.wait();
        assert_eq!(result, Err(NoReply));
        assert!((millis(100)..=at_most(millis(202))).contains(&took), "{took:?}");
        // The same end reaches the successor.
        assert_eq!(pair.end.call(&Name(5)), Ok("number 5".to_owned()));
        assert_eq!((pair.junk.named(), junk.named()), (vec![], vec![5]));
        assert_eq!(pair.network.requests_served("S0"), 2);
        wait_until(|| pair.seen(ReplyDiscarded) == 1);
        assert_eq!(pair.network.stats().replies, 1);
    });
}

/// A handler that outlives its call answers nobody: not even the next call of the same client.
#[test]
fn a_stale_reply_does_not_answer_another_call() {
    on_both_engines(20, || {
        let pair = pair();
        let old = pair.call_until(RequestDelivered, &Sleep(millis(1000)));
        let successor = Node::new("S0");
        pair.network.serve(&successor, pair.junk.service());
        assert_eq!(old.wait().0, Err(NoReply));
        let new = pair.call_until(RequestDelivered, &Sleep(FOR_EVER));
        wait_until(|| pair.seen(ReplyDiscarded) == 1);
        time::sleep(millis(100));
        assert!(!new.is_over());
    });
}

/// A crash as the tester makes one, and the server back at once, on the same network.
#[test]
fn a_server_crashes_and_comes_back() {
    on_both_engines(20, || {
        let mut pair = pair();
        for round in 0..5 {
            let stale = pair.call_until(RequestDelivered, &Sleep(FOR_EVER));
            pair.connect(false);
            pair.network.remove("S0");
            pair.server.kill();
            pair.server = Node::new("S0");
            pair.network.serve(&pair.server, pair.junk.service());
            pair.connect(true);
            assert_eq!(pair.end.call(&Name(round)), Ok(format!("number {round}")));
            assert_eq!(stale.wait().0, Err(NoReply));
        }
        assert_eq!(pair.junk.named(), [0, 1, 2, 3, 4]);
        assert_eq!(pair.network.requests_served("S0"), 10);
    });
}

/// Links that flap and servers that come and go, at any moment of any call: each call ends.
#[test]
fn no_caller_is_forgotten() {
    on_both_engines(30, || {
        let network = Network::new();
        network.set_conditions(Conditions::unreliable().with_duplicates(0.2));
        let junk = Junk::default();
        let clients: Vec<_> = (0..8)
            .map(|c| {
                let client = Node::new(&format!("C{}", c % 4));
                let end = network.end(&client, "S0");
                client.spawn(move || {
                    let ends = sim::elapsed() + millis(1000);
                    while sim::elapsed() < ends {
                        if c < 2 {
                            let _ = end.call(&Sleep(millis(20)));
                        } else {
                            let _ = end.call(&Name(c));
                        }
                    }
                })
            })
            .collect();
        for round in 0..25_u32 {
            let server = Node::new("S0");
            network.serve(&server, junk.service());
            for link in 0..4 {
                time::sleep(millis(10));
                network.set_link("S0", &format!("C{link}"), round % 3 != 0);
            }
            if round % 4 != 0 {
                network.remove("S0");
            }
            if round % 5 != 0 {
                server.kill();
            }
        }
        for client in clients {
            client.join().expect("no client is killed");
        }
        assert!(junk.named().len() > 20);
    });
}

/// A name that nobody ever had is like a dead link.
#[test]
fn a_server_that_was_never_there() {
    on_both_engines(20, || {
        let network = Network::new();
        let end = network.end(&Node::new("C0"), "S9");
        let start = sim::elapsed();
        assert_eq!(end.call(&Name(1)), Err(NoReply));
        assert!(since(start) <= at_most(millis(100)));
        network.serve(&Node::new("S9"), Junk::default().service());
        assert_eq!(end.call(&Name(1)), Ok("number 1".to_owned()));
    });
}

/// The request goes on without its caller, and the reply finds nobody.
#[test]
fn a_caller_that_dies() {
    on_both_engines(20, || {
        let pair = pair();
        let delay = DelayRange::millis(300, 400);
        pair.network.set_conditions(Conditions { delay, ..Conditions::reliable() });
        let call = pair.call_until(RequestSent, &Name(1));
        pair.client.kill();
        assert!(call.is_over());
        assert!(pair.junk.named().is_empty());
        wait_until(|| pair.seen(ReplyDelivered) == 1);
        assert_eq!(pair.junk.named(), [1]);
    });
}

/// An end belongs to one incarnation: whoever kept it cannot speak for the dead.
#[test]
fn the_end_of_a_dead_caller_reaches_nobody() {
    on_both_engines(5, || {
        let pair = pair();
        pair.client.kill();
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert!(pair.junk.named().is_empty());
        let reborn = Node::new("C0");
        assert_eq!(pair.network.end(&reborn, "S0").call(&Name(2)), Ok("number 2".to_owned()));
    });
}

/// A paused server takes requests in and answers when it goes on.
#[test]
fn a_paused_server_answers_late() {
    on_both_engines(20, || {
        let pair = pair();
        pair.server.pause();
        let call = pair.call_until(RequestDelivered, &Name(1));
        time::sleep(millis(500));
        assert!(!call.is_over() && pair.junk.named().is_empty());
        pair.server.resume();
        assert_eq!(call.wait().0, Ok("number 1".to_owned()));
    });
}

/// Handlers hold ends of the network that holds the handlers; nothing leaks all the same.
#[test]
fn a_dropped_network_drops_its_handlers() {
    let handler_owns = Arc::new(());
    let owned = handler_owns.clone();
    on_both_engines(5, move || {
        let network = Network::new();
        let server = Node::new("S0");
        let end = network.end(&server, "S0");
        let owned = owned.clone();
        let service = Service::new().on(move |Sleep(pause)| {
            let _ = (&owned, &end);
            time::sleep(pause);
        });
        network.serve(&server, service);
        let end = network.end(&Node::new("C0"), "S0");
        Node::new("C0").spawn(move || end.call(&Sleep(FOR_EVER)));
        time::sleep(millis(10));
    });
    assert_eq!(Arc::strong_count(&handler_owns), 1);
}

/// Whoever calls on a network that the test has dropped gets no reply, and time passes.
#[test]
fn a_call_on_a_dropped_network() {
    on_both_engines(5, || {
        let pair = pair();
        drop(pair.network);
        let start = sim::elapsed();
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert!(since(start) >= millis(100));
    });
}

/// Whoever is asked or shown a reply may let other tasks run, one of which kills the server.
#[test]
fn a_reply_that_is_looked_at_while_its_server_dies_is_not_forgotten() {
    on_seeds(50, || {
        let judged = pair();
        let server = judged.server.clone();
        judged.network.judge(move |message| {
            if message.kind == MessageKind::Reply {
                server.kill();
            }
            Sentence::AsDrawn
        });
        let shown = pair();
        let server = shown.server.clone();
        shown.network.observe(move |event| {
            if event.kind == ReplySent {
                server.kill();
            }
        });
        for pair in [judged, shown] {
            let (result, took) = pair.call_in_background(&Name(1)).wait();
            assert_eq!(result, Err(NoReply));
            assert!(took <= millis(110), "{took:?}");
            assert!(!pair.server.is_alive());
        }
    });
}
