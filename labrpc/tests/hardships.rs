//! Second copies, very late messages, links that work one way: what the Go original cannot do.

mod common;

use std::time::Duration;

use common::{FOR_EVER, Name, Sleep, millis, on_seeds, pair};
use labrpc::{Conditions, DelayRange, NetEventKind::*, NoReply, Stats};
use labrt::{sim, time};

/// The second copy runs the handler again, seconds later, and its reply goes nowhere.
#[test]
fn a_duplicated_request_is_executed_twice() {
    on_seeds(20, || {
        let pair = pair();
        let events = pair.events();
        pair.network.set_conditions(Conditions {
            duplicate: 1.0,
            duplicate_delay: DelayRange::millis(2000, 3000),
            ..Conditions::reliable()
        });
        assert_eq!(pair.end.call(&Name(7)), Ok("number 7".to_owned()));
        assert_eq!(pair.junk.named(), [7]);
        time::sleep(millis(1990));
        assert_eq!(pair.junk.named(), [7]);
        time::sleep(millis(1020));
        assert_eq!(pair.junk.named(), [7, 7]);
        assert_eq!(pair.network.requests_served("S0"), 2);
        let stats = pair.network.stats();
        let expected =
            Stats { requests: 1, replies: 1, duplicates: 1, bytes: 1 + 9, ..Stats::default() };
        assert_eq!(stats, expected);
        let seen = events.lock().clone();
        let first = [RequestSent, RequestDuplicated, RequestDelivered, ReplySent, ReplyDelivered];
        assert_eq!(seen, [&first[..], &[RequestDelivered, ReplyDiscarded]].concat());
    });
}

/// Its caller has given up, and still the request arrives: after newer ones, and it takes effect.
#[test]
fn a_late_request_overtakes_nothing_and_arrives() {
    on_seeds(20, || {
        let pair = pair();
        let slow = Conditions::reliable().with_late_requests(1.0);
        pair.network.set_conditions(slow);
        let start = sim::elapsed();
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert!(sim::elapsed().checked_sub(start).expect("time passes") < millis(1));
        pair.network.set_conditions(Conditions::reliable());
        assert_eq!(pair.end.call(&Name(2)), Ok("number 2".to_owned()));
        assert_eq!(pair.junk.named(), [2]);
        time::sleep(Duration::from_secs(6));
        assert_eq!(pair.junk.named(), [2, 1]);
        let stats = pair.network.stats();
        assert_eq!((stats.late_requests, stats.replies), (1, 1));
    });
}

/// A late request reaches whoever has the name by then, but not over a link that is down.
#[test]
fn a_late_request_needs_its_link_when_it_arrives() {
    on_seeds(20, || {
        let pair = pair();
        pair.network.set_conditions(Conditions::reliable().with_late_requests(1.0));
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        pair.network.set_link("C0", "S0", false);
        time::sleep(Duration::from_secs(6));
        assert_eq!(pair.junk.named(), []);
    });
}

/// Requests pass, replies do not: the handler runs and its caller never knows.
#[test]
fn a_link_that_only_works_there() {
    on_seeds(20, || {
        let pair = pair();
        pair.network.set_link("S0", "C0", false);
        assert!(pair.network.link_is_up("C0", "S0") && !pair.network.link_is_up("S0", "C0"));
        let (result, took) = pair.call_in_background(&Name(1)).wait();
        assert_eq!(result, Err(NoReply));
        assert!(took <= millis(100), "{took:?}");
        assert_eq!(pair.junk.named(), [1]);
        assert_eq!(pair.network.stats().no_path, 1);
    });
}

/// Requests do not pass, though replies would.
#[test]
fn a_link_that_only_works_back() {
    on_seeds(20, || {
        let pair = pair();
        pair.network.set_link("C0", "S0", false);
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert_eq!(pair.junk.named(), []);
    });
}

/// A request under way when its link goes down is lost.
#[test]
fn a_request_needs_its_link_until_it_arrives() {
    on_seeds(20, || {
        let pair = pair();
        let call = pair.call_in_background(&Name(1));
        time::sleep(Duration::from_micros(50));
        pair.network.set_link("C0", "S0", false);
        assert_eq!(call.wait().0, Err(NoReply));
        assert_eq!(pair.junk.named(), []);
        assert_eq!(pair.network.stats().no_path, 1);
    });
}

/// A call that has reached its handler needs only the way back.
#[test]
fn a_running_call_needs_only_the_link_back() {
    on_seeds(20, || {
        let pair = pair();
        let call = pair.call_in_background(&Sleep(millis(500)));
        time::sleep(millis(1));
        pair.network.set_link("C0", "S0", false);
        assert_eq!(call.wait().0, Ok(()));
    });
}

/// When the way back breaks, those who wait for a handler are told, even if it never returns.
#[test]
fn a_broken_link_back_releases_the_callers() {
    on_seeds(20, || {
        let pair = pair();
        let call = pair.call_in_background(&Sleep(FOR_EVER));
        time::sleep(millis(300));
        assert!(!call.is_over());
        pair.network.set_link("S0", "C0", false);
        let (result, took) = call.wait();
        assert_eq!(result, Err(NoReply));
        assert!((millis(300)..=millis(401)).contains(&took), "{took:?}");
    });
}

/// The reply of a call that was given up does not count, though the link has come back.
#[test]
fn a_link_that_comes_back_does_not_bring_its_replies_back() {
    on_seeds(20, || {
        let pair = pair();
        let call = pair.call_in_background(&Sleep(millis(100)));
        time::sleep(millis(50));
        pair.network.set_link("S0", "C0", false);
        pair.network.set_link("S0", "C0", true);
        assert_eq!(call.wait().0, Err(NoReply));
        assert_eq!(pair.network.stats().replies, 0);
    });
}

/// A handler that never returns makes its caller wait: the network has no time limit of its own.
#[test]
fn a_handler_that_never_returns() {
    on_seeds(3, || {
        let pair = pair();
        let call = pair.call_in_background(&Sleep(FOR_EVER));
        time::sleep(Duration::from_mins(50));
        assert!(!call.is_over());
    });
}

/// A reply held back arrives seconds later, after the replies of later calls.
#[test]
fn late_replies_are_overtaken() {
    on_seeds(20, || {
        let pair = pair();
        let always_late = Conditions { late_reply: 1.0, ..Conditions::reliable() };
        pair.network.set_link_conditions("S0", "C0", Some(always_late));
        let old = pair.call_in_background(&Name(1));
        time::sleep(millis(100));
        pair.network.set_link_conditions("S0", "C0", None);
        assert_eq!(pair.end.call(&Name(2)), Ok("number 2".to_owned()));
        assert!(!old.is_over());
        let (result, took) = old.wait();
        assert_eq!(result, Ok("number 1".to_owned()));
        assert!((millis(200)..=millis(2200)).contains(&took), "{took:?}");
        assert_eq!(pair.network.stats().late_replies, 1);
    });
}

/// Once held back, a reply arrives whatever happens: it had left its sender alive, over a good link.
#[test]
fn late_replies_outlive_their_sender_and_their_link() {
    on_seeds(20, || {
        let pair = pair();
        pair.network.set_conditions(Conditions { late_reply: 1.0, ..Conditions::reliable() });
        let call = pair.call_in_background(&Name(1));
        time::sleep(millis(10));
        pair.connect(false);
        pair.network.remove("S0");
        pair.server.kill();
        assert_eq!(call.wait().0, Ok("number 1".to_owned()));
    });
}

/// Conditions of one direction of one link leave everything else alone.
#[test]
fn conditions_of_one_link() {
    on_seeds(5, || {
        let pair = pair();
        let lossy = Conditions { request_loss: 1.0, ..Conditions::reliable() };
        pair.network.set_link_conditions("C0", "S0", Some(lossy));
        let other = pair.network.end(&labrt::node::Node::new("C1"), "S0");
        assert_eq!(other.call(&Name(1)), Ok("number 1".to_owned()));
        assert_eq!(pair.end.call(&Name(2)), Err(NoReply));
        pair.network.set_link_conditions("C0", "S0", None);
        assert_eq!(pair.end.call(&Name(3)), Ok("number 3".to_owned()));
    });
}
