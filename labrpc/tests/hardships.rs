//! Second copies, very late messages, links that work one way: what the Go original cannot do.

mod common;

use std::time::Duration;

use common::{
    FOR_EVER, Length, Name, Sleep, at_most, millis, on_both_engines, pair, simulated_or_real,
    since, wait_until,
};
use labrpc::{
    Conditions, DelayRange, MessageKind, NetEventKind::*, NoReply, Sending, Sentence, Stats,
};
use labrt::{node::Node, sim, time};

/// The second copy runs the handler again, much later, and its reply goes nowhere.
#[test]
fn a_duplicated_request_is_executed_twice() {
    on_both_engines(20, || {
        let pair = pair();
        pair.network.set_conditions(Conditions {
            duplicate: 1.0,
            duplicate_delay: DelayRange::millis(700, 900),
            ..Conditions::reliable()
        });
        let start = sim::elapsed();
        assert_eq!(pair.end.call(&Name(7)), Ok("number 7".to_owned()));
        assert_eq!(pair.junk.named(), [7]);
        wait_until(|| pair.seen(ReplyDiscarded) == 1);
        assert!((millis(700)..=at_most(millis(902))).contains(&since(start)));
        assert_eq!(pair.junk.named(), [7, 7]);
        assert_eq!(pair.network.requests_served("S0"), 2);
        let stats = pair.network.stats();
        let expected =
            Stats { requests: 1, replies: 1, duplicates: 1, bytes: 1 + 9, ..Stats::default() };
        assert_eq!(stats, expected);
        let seen = pair.events.lock().clone();
        let first = [RequestSent, RequestDuplicated, RequestDelivered, ReplySent, ReplyDelivered];
        assert_eq!(seen, [&first[..], &[RequestDelivered, ReplyDiscarded]].concat());
    });
}

/// Every request very late, if this late is very late.
fn late_requests(min: u64, max: u64) -> Conditions {
    let late_request_delay = DelayRange::millis(min, max);
    Conditions { late_request: 1.0, late_request_delay, ..Conditions::reliable() }
}

/// Its caller has given up, and still the request arrives: after newer ones, and it takes effect.
#[test]
fn a_late_request_overtakes_nothing_and_arrives() {
    on_both_engines(20, || {
        let pair = pair();
        pair.network.set_conditions(late_requests(1000, 1500));
        let start = sim::elapsed();
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert!(since(start) < at_most(millis(1)));
        pair.network.set_conditions(Conditions::reliable());
        assert_eq!(pair.end.call(&Name(2)), Ok("number 2".to_owned()));
        assert_eq!(pair.junk.named(), [2]);
        wait_until(|| pair.seen(ReplyDiscarded) == 1);
        assert!((millis(1000)..=at_most(millis(1502))).contains(&since(start)));
        assert_eq!(pair.junk.named(), [2, 1]);
        let stats = pair.network.stats();
        assert_eq!((stats.late_requests, stats.replies), (1, 1));
    });
}

/// A late request reaches whoever has the name by then, but not over a link that is down.
#[test]
fn a_late_request_needs_its_link_when_it_arrives() {
    on_both_engines(20, || {
        let pair = pair();
        pair.network.set_conditions(late_requests(500, 700));
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        pair.network.set_link("C0", "S0", false);
        wait_until(|| pair.seen(NoPath) == 1);
        time::sleep(millis(10));
        assert!(pair.junk.named().is_empty());
    });
}

/// Requests pass, replies do not: the handler runs and its caller never knows.
#[test]
fn a_link_that_only_works_there() {
    on_both_engines(20, || {
        let pair = pair();
        pair.network.set_link("S0", "C0", false);
        assert!(pair.network.link_is_up("C0", "S0") && !pair.network.link_is_up("S0", "C0"));
        let (result, took) = pair.call_in_background(&Name(1)).wait();
        assert_eq!(result, Err(NoReply));
        assert!(took <= at_most(millis(100)), "{took:?}");
        assert_eq!(pair.junk.named(), [1]);
        assert_eq!(pair.network.stats().no_path, 1);
    });
}

/// Requests do not pass, though replies would.
#[test]
fn a_link_that_only_works_back() {
    on_both_engines(20, || {
        let pair = pair();
        pair.network.set_link("C0", "S0", false);
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert!(pair.junk.named().is_empty());
    });
}

/// A request that finds its link down when it arrives is lost.
#[test]
fn a_request_needs_its_link_until_it_arrives() {
    on_both_engines(20, || {
        let pair = pair();
        let delay = DelayRange::millis(500, 600);
        pair.network.set_conditions(Conditions { delay, ..Conditions::reliable() });
        let call = pair.call_until(RequestSent, &Name(1));
        pair.network.set_link("C0", "S0", false);
        assert_eq!(call.wait().0, Err(NoReply));
        assert!(pair.junk.named().is_empty());
        assert_eq!(pair.network.stats().no_path, 1);
    });
}

/// A call that has reached its handler needs only the way back.
#[test]
fn a_running_call_needs_only_the_link_back() {
    on_both_engines(20, || {
        let pair = pair();
        let call = pair.call_until(RequestDelivered, &Sleep(millis(500)));
        pair.network.set_link("C0", "S0", false);
        assert_eq!(call.wait().0, Ok(()));
    });
}

/// When the way back breaks, those who wait for a handler are told, even if it never returns.
#[test]
fn a_broken_link_back_releases_the_callers() {
    on_both_engines(20, || {
        let pair = pair();
        let call = pair.call_until(RequestDelivered, &Sleep(FOR_EVER));
        time::sleep(millis(300));
        assert!(!call.is_over());
        pair.network.set_link("S0", "C0", false);
        let (result, took) = call.wait();
        assert_eq!(result, Err(NoReply));
        assert!((millis(300)..=at_most(millis(402))).contains(&took), "{took:?}");
    });
}

/// The reply of a call that was given up does not count, though the link has come back.
#[test]
fn a_link_that_comes_back_does_not_bring_its_replies_back() {
    on_both_engines(20, || {
        let pair = pair();
        let call = pair.call_until(RequestDelivered, &Sleep(millis(700)));
        pair.network.set_link("S0", "C0", false);
        pair.network.set_link("S0", "C0", true);
        assert_eq!(call.wait().0, Err(NoReply));
        wait_until(|| pair.seen(ReplyDiscarded) == 1);
        assert_eq!(pair.network.stats().replies, 0);
    });
}

/// A handler that never returns makes its caller wait: the network has no time limit of its own.
#[test]
fn a_handler_that_never_returns() {
    on_both_engines(3, || {
        let pair = pair();
        let call = pair.call_until(RequestDelivered, &Sleep(FOR_EVER));
        time::sleep(simulated_or_real(Duration::from_mins(50), millis(500)));
        assert!(!call.is_over());
    });
}

/// Every reply held back, for so many milliseconds.
fn late_replies(min: u64, max: u64) -> Conditions {
    let late_reply_delay = DelayRange::millis(min, max);
    Conditions { late_reply: 1.0, late_reply_delay, ..Conditions::reliable() }
}

/// A reply held back arrives later than the replies of later calls.
#[test]
fn late_replies_are_overtaken() {
    on_both_engines(20, || {
        let pair = pair();
        pair.network.set_link_conditions("S0", "C0", Some(late_replies(1000, 1500)));
        let old = pair.call_until(ReplyLate, &Name(1));
        pair.network.set_link_conditions("S0", "C0", None);
        assert_eq!(pair.end.call(&Name(2)), Ok("number 2".to_owned()));
        assert!(!old.is_over());
        let (result, took) = old.wait();
        assert_eq!(result, Ok("number 1".to_owned()));
        assert!((millis(1000)..=at_most(millis(1502))).contains(&took), "{took:?}");
        assert_eq!(pair.network.stats().late_replies, 1);
    });
}

/// Once held back, a reply arrives whatever happens: it had left its sender alive, over a good link.
#[test]
fn late_replies_outlive_their_sender_and_their_link() {
    on_both_engines(20, || {
        let pair = pair();
        pair.network.set_conditions(late_replies(500, 700));
        let call = pair.call_until(ReplyLate, &Name(1));
        pair.connect(false);
        pair.network.remove("S0");
        pair.server.kill();
        assert_eq!(call.wait().0, Ok("number 1".to_owned()));
    });
}

/// Conditions of one direction of one link leave everything else alone.
#[test]
fn conditions_of_one_link() {
    on_both_engines(5, || {
        let pair = pair();
        let lossy = Conditions { request_loss: 1.0, ..Conditions::reliable() };
        pair.network.set_link_conditions("C0", "S0", Some(lossy));
        let other = pair.network.end(&Node::new("C1"), "S0");
        assert_eq!(other.call(&Name(1)), Ok("number 1".to_owned()));
        assert_eq!(pair.end.call(&Name(2)), Err(NoReply));
        pair.network.set_link_conditions("C0", "S0", None);
        assert_eq!(pair.end.call(&Name(3)), Ok("number 3".to_owned()));
    });
}

/// On a slow link a message takes the time of its bytes, whatever else is under way.
#[test]
fn a_slow_link_takes_time_for_every_byte() {
    on_both_engines(20, || {
        let pair = pair();
        pair.network.set_conditions(Conditions::reliable().with_slow_links(millis(1)));
        let start = sim::elapsed();
        assert_eq!(pair.end.call(&Length("x".repeat(20_000))), Ok(20_000));
        assert!((millis(20)..=at_most(millis(22))).contains(&since(start)));
        let start = sim::elapsed();
        assert_eq!(pair.end.call(&Length("x".repeat(100))), Ok(100));
        assert!(since(start) < at_most(millis(2)));
    });
}

/// A judge's word goes before that of chance: for each message, by what it is and what is in it.
#[test]
fn a_judge_decides_about_each_message() {
    on_both_engines(20, || {
        let pair = pair();
        let everything_is_lost =
            Conditions { request_loss: 1.0, reply_loss: 1.0, ..Conditions::reliable() };
        pair.network.judge(move |message| {
            let Sending { from, to, kind, method, bytes } = *message;
            assert_eq!(method, "Junk.Name");
            match kind {
                MessageKind::Request => assert_eq!((from, to), ("C0", "S0")),
                MessageKind::Reply => assert_eq!((from, to), ("S0", "C0")),
            }
            match (kind, bytes.last()) {
                (MessageKind::Request, Some(1)) | (MessageKind::Reply, Some(b'2')) => {
                    Sentence::Lost
                }
                (MessageKind::Request, Some(3)) | (MessageKind::Reply, Some(b'4')) => {
                    Sentence::Late(millis(700))
                }
                _ => Sentence::AsDrawn,
            }
        });
        let call = |n| (pair.end.call(&Name(n)).is_ok(), pair.junk.named().contains(&n));
        assert_eq!(call(1), (false, false), "its request is lost");
        assert_eq!(call(2), (false, true), "its reply is lost");
        assert_eq!(call(3), (false, false), "its request is late");
        let start = sim::elapsed();
        assert_eq!(call(4), (true, true), "its reply is held back");
        assert!((millis(700)..=at_most(millis(702))).contains(&since(start)));
        wait_until(|| pair.junk.named().contains(&3));
        assert_eq!(call(5), (true, true));
        pair.network.set_conditions(everything_is_lost);
        assert_eq!(call(6), (false, false), "that is left to chance");
    });
}
