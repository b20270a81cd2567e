//! What the network of the Go original is tested for, with exact numbers where virtual time and a
//! fixed encoding allow them.

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{
    Junk, Length, Name, Sleep, at_most, millis, on_both_engines, pair, simulated_or_real, since,
};
use labgob::Bytes;
use labrpc::{Conditions, DelayRange, NetEventKind, Network, NoReply, Rpc, Service};
use labrt::{node::Node, sim, time};
use serde::{Deserialize, Serialize};

#[test]
fn calls_return_what_the_handlers_answer() {
    on_both_engines(10, || {
        let pair = pair();
        assert_eq!(pair.end.call(&Name(9099)), Ok("number 9099".to_owned()));
        assert_eq!(pair.end.call(&Length("hello".to_owned())), Ok(5));
    });
}

/// Requests and replies of every shape cross the network as copies.
#[test]
fn any_serializable_type_can_cross() {
    #[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
    enum Shape {
        Unit,
        Tuple(u8, Bytes),
        Struct { map: BTreeMap<String, Option<f64>>, nested: Vec<Shape> },
    }
    impl Rpc for Shape {
        const METHOD: &'static str = "Types.Shape";
        type Reply = Option<(Shape, ())>;
    }
    on_both_engines(3, || {
        let network = Network::new();
        let server = Node::new("S0");
        network.serve(&server, Service::new().on(|shape: Shape| Some((shape, ()))));
        let end = network.end(&Node::new("C0"), "S0");
        let leaf = Shape::Tuple(7, Bytes::from(b"abc"));
        let tree = Shape::Struct {
            map: BTreeMap::from([("x".to_owned(), Some(0.5)), ("y".to_owned(), None)]),
            nested: vec![Shape::Unit, leaf],
        };
        assert_eq!(end.call(&tree), Ok(Some((tree.clone(), ()))));
    });
}

#[test]
fn nothing_passes_a_link_that_is_down() {
    on_both_engines(10, || {
        let pair = pair();
        pair.connect(false);
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        assert_eq!(pair.network.requests_served("S0"), 0);
        pair.connect(true);
        assert_eq!(pair.end.call(&Name(2)), Ok("number 2".to_owned()));
        assert_eq!(pair.junk.named(), [2]);
    });
}

#[test]
fn requests_served_counts_each_execution() {
    on_both_engines(10, || {
        let pair = pair();
        for n in 0..17 {
            assert_eq!(pair.end.call(&Name(n)), Ok(format!("number {n}")));
        }
        assert_eq!(pair.network.requests_served("S0"), 17);
        assert_eq!(pair.network.requests_served("C0"), 0);
        assert_eq!(pair.network.requests_served("nobody"), 0);
        let stats = pair.network.stats();
        assert_eq!((stats.requests, stats.replies), (17, 17));
    });
}

#[test]
fn bytes_count_requests_and_delivered_replies() {
    on_both_engines(3, || {
        let pair = pair();
        let long = Length("x".repeat(284));
        for _ in 0..17 {
            assert_eq!(pair.end.call(&long), Ok(284));
        }
        // A length above 250 takes three bytes, and so does the number 284.
        assert_eq!(pair.network.stats().bytes, 17 * (3 + 284 + 3));

        let before = pair.network.stats().bytes;
        for n in 0..17 {
            assert_eq!(pair.end.call(&Name(n)).map(|name| name.len() > 7), Ok(true));
        }
        let names: u64 = (0..17).map(|n| 1 + format!("number {n}").len() as u64).sum();
        assert_eq!(pair.network.stats().bytes - before, 17 + names);
    });
}

#[test]
fn many_clients_at_once() {
    on_both_engines(10, || {
        let network = Network::new();
        let server = Node::new("S0");
        network.serve(&server, Junk::default().service());
        let clients: Vec<_> = (0..20)
            .map(|c| {
                let node = Node::new(&format!("C{c}"));
                let end = network.end(&node, "S0");
                node.spawn(move || {
                    for n in 100 * c..100 * c + 10 {
                        assert_eq!(end.call(&Name(n)), Ok(format!("number {n}")));
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().expect("no client is killed");
        }
        assert_eq!(network.requests_served("S0"), 200);
    });
}

#[test]
fn an_unreliable_network_loses_some_calls_and_corrupts_none() {
    on_both_engines(10, || {
        let network = Network::new();
        let server = Node::new("S0");
        network.serve(&server, Junk::default().service());
        network.set_conditions(Conditions::unreliable());
        let clients: Vec<_> = (0..300)
            .map(|n| {
                let node = Node::new(&format!("C{n}"));
                let end = network.end(&node, "S0");
                node.spawn(move || match end.call(&Name(n)) {
                    Ok(name) => {
                        assert_eq!(name, format!("number {n}"));
                        1
                    }
                    Err(NoReply) => 0,
                })
            })
            .collect();
        let successes: i32 =
            clients.into_iter().map(|client| client.join().expect("no client is killed")).sum();
        // 243 on average; five standard deviations are 34.
        assert!((209..=277).contains(&successes), "{successes}");
        assert!(sim::elapsed() <= at_most(millis(29)), "requests take 26.5 ms, replies 0.5");
    });
}

#[test]
fn many_calls_at_once_on_one_end() {
    on_both_engines(10, || {
        let pair = pair();
        let calls: Vec<_> = (0..20).map(|n| pair.call_in_background(&Name(n))).collect();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.wait().0, Ok(format!("number {n}")));
        }
        let mut named = pair.junk.named();
        named.sort_unstable();
        assert_eq!(named, (0..20).collect::<Vec<_>>());
        assert_eq!(pair.network.requests_served("S0"), 20);
    });
}

/// Calls that wait for the news of a dead link do not hold up later ones.
#[test]
fn hopeless_calls_do_not_delay_good_ones() {
    on_both_engines(10, || {
        let pair = pair();
        let long = DelayRange::millis(0, simulated_or_real(6999, 1999));
        pair.network.set_conditions(Conditions { no_path_delay: long, ..Conditions::reliable() });
        pair.connect(false);
        let hopeless: Vec<_> = (0..20).map(|n| pair.call_in_background(&Name(n))).collect();
        time::sleep(millis(100));
        pair.connect(true);
        let (result, took) = pair.call_in_background(&Name(99)).wait();
        assert_eq!(result, Ok("number 99".to_owned()));
        assert!(took < at_most(millis(2)), "{took:?}");
        for call in hopeless {
            let (result, took) = call.wait();
            assert_eq!(result, Err(NoReply));
            assert!(took <= at_most(millis(7001)), "{took:?}");
        }
        assert_eq!(pair.junk.named(), [99]);
        assert_eq!(pair.network.requests_served("S0"), 1);
    });
}

/// A call waits for as long as its handler takes, and no longer than 100 ms once that is gone.
#[test]
fn a_removed_server_releases_its_callers() {
    on_both_engines(50, || {
        let pair = pair();
        let twenty_seconds = Sleep(Duration::from_secs(20));
        let call = pair.call_until(NetEventKind::RequestDelivered, &twenty_seconds);
        time::sleep(millis(1100));
        assert!(!call.is_over());
        pair.network.remove("S0");
        let (result, took) = call.wait();
        assert_eq!(result, Err(NoReply));
        assert!((millis(1100)..=at_most(millis(1202))).contains(&took), "{took:?}");
        assert_eq!(pair.network.stats().cut_off, 1);
    });
}

/// Healthy calls take a small random time, never none.
#[test]
fn sequential_calls_take_between_a_fifth_and_one_millisecond() {
    on_both_engines(2, || {
        let pair = pair();
        let mut range = [Duration::MAX, Duration::ZERO];
        for n in 0..simulated_or_real(5000, 200) {
            let start = sim::elapsed();
            assert_eq!(pair.end.call(&Length(String::new())), Ok(0), "call {n}");
            let took = since(start);
            range = [range[0].min(took), range[1].max(took)];
        }
        assert!(range[0] >= Duration::from_micros(200), "{range:?}");
        assert!(range[1] <= at_most(Duration::from_micros(1010)), "{range:?}");
        let factor = simulated_or_real(3, 1);
        assert!(range[1] > factor * range[0], "the time varies: {range:?}");
    });
}
