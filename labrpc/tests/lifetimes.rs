//! Servers that are killed, replaced and paused, and callers that die.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use common::{FOR_EVER, Junk, Name, Pair, Sleep, millis, on_seeds, pair};
use labrpc::{Network, NoReply, Service};
use labrt::{node::Node, sim, time};

/// Without any word from the harness to the network: the node's death is enough.
#[test]
fn a_killed_server_releases_its_callers() {
    on_seeds(50, || {
        let pair = pair();
        let call = pair.call_in_background(&Sleep(FOR_EVER));
        time::sleep(millis(500));
        pair.server.kill();
        let (result, took) = call.wait();
        assert_eq!(result, Err(NoReply));
        assert!((millis(500)..=millis(601)).contains(&took), "{took:?}");
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
}

/// A successor under the same name does not answer for its predecessor.
#[test]
fn a_reply_of_a_replaced_server_never_arrives() {
    on_seeds(50, || {
        let pair = pair();
        let old = pair.call_in_background(&Sleep(millis(200)));
        time::sleep(millis(100));
        let successor = Node::new("S0");
        let junk = Junk::default();
        pair.network.serve(&successor, junk.service());
        // The old node still lives, and its handler returns in 100 ms: nobody hears it.
        let (result, took) = old.wait();
        assert_eq!(result, Err(NoReply));
        assert!((millis(100)..=millis(201)).contains(&took), "{took:?}");
        // The same end reaches the successor.
        assert_eq!(pair.end.call(&Name(5)), Ok("number 5".to_owned()));
        assert_eq!((pair.junk.named(), junk.named()), (vec![], vec![5]));
        assert_eq!(pair.network.requests_served("S0"), 2);
        time::sleep(millis(200));
        assert_eq!(pair.network.stats().replies, 1);
    });
}

/// A handler that outlives its call answers nobody: not even the next call of the same client.
#[test]
fn a_stale_reply_does_not_answer_another_call() {
    on_seeds(20, || {
        let pair = pair();
        let old = pair.call_in_background(&Sleep(millis(400)));
        time::sleep(millis(100));
        let successor = Node::new("S0");
        pair.network.serve(&successor, pair.junk.service());
        assert_eq!(old.wait().0, Err(NoReply));
        let new = pair.call_in_background(&Sleep(FOR_EVER));
        time::sleep(millis(1000));
        assert!(!new.is_over());
    });
}

/// A crash as the tester makes one, and the server back at once, on the same network.
#[test]
fn a_server_crashes_and_comes_back() {
    on_seeds(20, || {
        let mut pair = pair();
        for round in 0..5 {
            let stale = pair.call_in_background(&Sleep(FOR_EVER));
            time::sleep(millis(10));
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

/// A name that nobody ever had is like a dead link.
#[test]
fn a_server_that_was_never_there() {
    on_seeds(20, || {
        let network = Network::new();
        let end = network.end(&Node::new("C0"), "S9");
        let start = sim::elapsed();
        assert_eq!(end.call(&Name(1)), Err(NoReply));
        assert!(sim::elapsed().checked_sub(start).expect("time passes") <= millis(100));
        network.serve(&Node::new("S9"), Junk::default().service());
        assert_eq!(end.call(&Name(1)), Ok("number 1".to_owned()));
    });
}

/// The request goes on without its caller, and the reply finds nobody.
#[test]
fn a_caller_that_dies() {
    on_seeds(20, || {
        let pair = pair();
        let call = pair.call_in_background(&Name(1));
        time::sleep(Duration::from_micros(50));
        pair.client.kill();
        assert!(call.is_over());
        time::sleep(millis(10));
        assert_eq!(pair.junk.named(), [1]);
    });
}

/// An end belongs to one incarnation: whoever kept it cannot speak for the dead.
#[test]
fn the_end_of_a_dead_caller_reaches_nobody() {
    on_seeds(5, || {
        let pair = pair();
        pair.client.kill();
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert_eq!(pair.junk.named(), []);
        let reborn = Node::new("C0");
        assert_eq!(pair.network.end(&reborn, "S0").call(&Name(2)), Ok("number 2".to_owned()));
    });
}

/// A paused server takes requests in and answers when it goes on.
#[test]
fn a_paused_server_answers_late() {
    on_seeds(20, || {
        let pair = pair();
        pair.server.pause();
        let call = pair.call_in_background(&Name(1));
        time::sleep(Duration::from_secs(3));
        assert!(!call.is_over());
        pair.server.resume();
        assert_eq!(call.wait().0, Ok("number 1".to_owned()));
    });
}

/// Handlers hold ends of the network that holds the handlers; nothing leaks all the same.
#[test]
fn a_dropped_network_drops_its_handlers() {
    let handler_owns = Arc::new(());
    let owned = handler_owns.clone();
    on_seeds(5, move || {
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
    on_seeds(5, || {
        let pair = pair();
        drop(pair.network);
        let start = sim::elapsed();
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert!(sim::elapsed() > start);
    });
}
