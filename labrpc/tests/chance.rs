//! Probabilities, the shape of delays, and what the seed decides.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Length, Name, millis, on_seeds, pair, really, since};
use labrpc::{Conditions, MessageId, MessageKind, NetEventKind, Network, NoReply, Stats};
use labrt::{
    node::Node,
    sim::{self, Config},
    time,
};
use parking_lot::Mutex;

/// Of `n` tries with probability `p`, is `count` within five standard deviations of what is
/// expected? By chance alone it is not once in two million checks; and the seeds are fixed.
fn is_plausible(count: u64, n: u64, p: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (count, n) = (count as f64, n as f64);
    (count - n * p).abs() <= 5.0 * (n * p * (1.0 - p)).sqrt()
}

#[test]
fn one_request_in_ten_is_lost_and_one_reply_in_ten() {
    on_seeds(3, || {
        let pair = pair();
        pair.network.set_conditions(Conditions::unreliable());
        let calls = 20_000;
        let succeeded = (0..calls).filter(|&n| pair.end.call(&Name(n)).is_ok()).count() as u64;
        let Stats { requests_lost, replies_lost, replies, .. } = pair.network.stats();
        assert_eq!(requests_lost + replies_lost + replies, calls);
        assert_eq!(replies, succeeded);
        assert!(is_plausible(requests_lost, calls, 0.1), "{requests_lost}");
        assert!(is_plausible(replies_lost, calls - requests_lost, 0.1), "{replies_lost}");
        assert!(is_plausible(succeeded, calls, 0.81), "{succeeded}");
    });
}

/// Uniform from 0.1 to 0.5 ms and, unreliable, up to 26 ms more for the request.
#[test]
fn delays_are_uniform() {
    on_seeds(2, || {
        let pair = pair();
        pair.network.set_conditions(Conditions {
            request_loss: 0.0,
            reply_loss: 0.0,
            ..Conditions::unreliable()
        });
        let calls = 20_000;
        let mut below = [0; 3];
        for _ in 0..calls {
            let start = sim::elapsed();
            pair.end.call(&Length(String::new())).expect("nothing is lost");
            let took = since(start);
            assert!((Duration::from_micros(200)..Duration::from_micros(27_010)).contains(&took));
            for (quarter, count) in (1..).zip(&mut below) {
                // The other delays add 0.6 ms on average.
                *count += u64::from(took <= Duration::from_micros(quarter * 6_500 + 600));
            }
        }
        for (part, count) in [0.25, 0.5, 0.75].into_iter().zip(below) {
            assert!(is_plausible(count, calls, part), "{below:?}");
        }
    });
}

/// Two in three are held for 200 to 2199 ms, short times being likelier: with a bound uniform up to
/// 2 s and a time uniform up to it, a part x (1 - ln x) of all stays below a part x of the range.
#[test]
fn late_replies_have_the_shape_of_the_original() {
    on_seeds(2, || {
        let pair = pair();
        pair.network.set_conditions(Conditions::reliable().with_long_reordering());
        let times = Arc::new(Mutex::new(Vec::new()));
        let calls = 6_000;
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let (end, times) = (pair.end.clone(), times.clone());
                pair.client.spawn(move || {
                    for n in 0..calls / 20 {
                        let start = sim::elapsed();
                        end.call(&Name(n)).expect("late, but not lost");
                        times.lock().push(since(start));
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().expect("no client is killed");
        }
        let late: Vec<_> = times.lock().iter().copied().filter(|&t| t > millis(100)).collect();
        let count = late.len() as u64;
        assert!(is_plausible(count, calls, 2.0 / 3.0), "{count}");
        assert_eq!(pair.network.stats().late_replies, count);
        assert!(late.iter().all(|t| (millis(200)..millis(2201)).contains(t)));
        for part in [0.1_f64, 0.25, 0.5, 0.75] {
            let bound = millis(200) + millis(1999).mul_f64(part);
            let below = late.iter().filter(|&&t| t <= bound).count() as u64;
            let expected = part * (1.0 - part.ln());
            assert!(is_plausible(below, count, expected), "{below} of {count} below {bound:?}");
        }
        let mean = late.iter().sum::<Duration>() / u32::try_from(count).expect("a few thousand");
        assert!((millis(670)..millis(730)).contains(&mean), "{mean:?}");
    });
}

#[test]
fn dead_links_are_known_after_up_to_99_ms_or_7_s() {
    on_seeds(2, || {
        let pair = pair();
        pair.connect(false);
        for (conditions, longest) in [
            (Conditions::reliable(), millis(99)),
            (Conditions::unreliable().with_long_delays(), millis(6999)),
        ] {
            pair.network.set_conditions(conditions);
            let mut times: Vec<_> = (0..400)
                .map(|n| {
                    let start = sim::elapsed();
                    assert_eq!(pair.end.call(&Name(n)), Err(NoReply));
                    since(start)
                })
                .collect();
            times.sort_unstable();
            assert!(times[399] <= longest + millis(1));
            assert!(times[399] > longest.mul_f64(0.97) && times[0] < longest.mul_f64(0.03));
            assert!((longest.mul_f64(0.38)..longest.mul_f64(0.62)).contains(&times[200]));
        }
    });
}

#[test]
fn copies_and_late_requests_come_as_often_as_asked() {
    on_seeds(2, || {
        let pair = pair();
        let hard = Conditions::reliable().with_duplicates(0.2).with_late_requests(0.1);
        pair.network.set_conditions(hard);
        let calls = 5_000;
        let succeeded = (0..calls).filter(|&n| pair.end.call(&Name(n)).is_ok()).count() as u64;
        time::sleep(Duration::from_secs(11));
        let stats = pair.network.stats();
        assert!(is_plausible(stats.duplicates, calls, 0.2), "{stats:?}");
        assert!(is_plausible(stats.late_requests, calls, 0.1), "{stats:?}");
        assert_eq!(succeeded, calls - stats.late_requests);
        assert_eq!(pair.network.requests_served("S0"), calls + stats.duplicates);
    });
}

/// A busy network with every hardship; gives the number of calls that succeeded, of 12 times
/// `calls` by four servers of which one dies.
fn storm(calls: u64) -> u64 {
    let network = Network::new();
    let nodes: Vec<_> = (0..4).map(|n| Node::new(&format!("S{n}"))).collect();
    for node in &nodes {
        network.serve(node, common::Junk::default().service());
    }
    let conditions = Conditions::unreliable().with_long_reordering();
    network.set_conditions(conditions.with_duplicates(0.1).with_late_requests(0.1));
    let clients: Vec<_> = (0..12)
        .map(|c| {
            let end = network.end(&nodes[c % 4], &format!("S{}", (c + 1 + c / 4) % 4));
            nodes[c % 4]
                .spawn(move || (0..calls).filter(|&n| end.call(&Name(n)).is_ok()).count() as u64)
        })
        .collect();
    time::sleep(millis(300));
    network.set_link("S1", "S2", false);
    nodes[3].kill();
    network.remove("S3");
    time::sleep(millis(300));
    network.set_link("S1", "S2", true);
    clients.into_iter().filter_map(|client| client.join().ok()).sum()
}

#[test]
fn one_seed_is_one_run() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..5 {
        let outcome = sim::check_determinism(&Config::with_seed(seed), || storm(50))
            .unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        assert!(outcome.result.expect("no panic") > 100);
        hashes.insert(outcome.report.trace_hash);
    }
    assert_eq!(hashes.len(), 5);
}

/// And one seed has one fate for each message on the real engine, too, whenever it comes.
#[test]
fn a_storm_in_real_time() {
    really(|| {
        let succeeded = storm(5);
        assert!((10..=45).contains(&succeeded), "{succeeded}");
    });
}

/// Runs that differ only in the size of a message have different traces.
#[test]
fn the_trace_knows_the_sizes_of_messages() {
    let hash = |text: &'static str| {
        let outcome = sim::run(Config::with_seed(1), move || {
            pair().end.call(&Length(text.to_owned())).expect("all is well");
        });
        outcome.report.trace_hash
    };
    assert_eq!(hash("a"), hash("b"));
    assert_ne!(hash("a"), hash("aa"));
    let hash = |n| {
        let outcome = sim::run(Config::with_seed(1), move || {
            pair().end.call(&Name(n)).expect("all is well");
        });
        outcome.report.trace_hash
    };
    // Requests of the same size; then replies of the same size, and not.
    assert_eq!(hash(1), hash(2));
    assert_ne!(hash(1), hash(10));
}

/// Messages on one link do not change what happens to those on another.
#[test]
fn links_have_fates_of_their_own() {
    let fates = |others: u64| {
        let outcome = sim::run(Config::with_seed(3), move || {
            let pair = pair();
            pair.network.set_conditions(Conditions::unreliable());
            let other = pair.network.end(&Node::new("C1"), "S0");
            let mut fates = Vec::new();
            for n in 0..200 {
                for _ in 0..others {
                    let _ = other.call(&Name(n));
                }
                fates.push(pair.end.call(&Name(n)).is_ok());
            }
            fates
        });
        outcome.result.expect("no panic")
    };
    assert_eq!(fates(0), fates(3));
    assert!(fates(0).contains(&true) && fates(0).contains(&false));
}

/// What chance did to each of some messages, by name.
fn touched(spared: Option<Vec<MessageId>>) -> Vec<(MessageId, NetEventKind)> {
    let touched = Arc::new(Mutex::new(Vec::new()));
    let sink = touched.clone();
    let outcome = sim::run(Config::with_seed(11), move || {
        let pair = pair();
        if let Some(all_but) = spared {
            pair.network.spare_all_but(all_but);
        }
        pair.network.observe(move |event| {
            let (kind, from, to) = match event.kind {
                NetEventKind::RequestLost
                | NetEventKind::RequestLate
                | NetEventKind::RequestDuplicated => (MessageKind::Request, event.from, event.to),
                NetEventKind::ReplyLost | NetEventKind::ReplyLate => {
                    (MessageKind::Reply, event.to, event.from)
                }
                _ => return,
            };
            let (from, to) = (from.to_owned(), to.to_owned());
            sink.lock().push((MessageId { from, to, kind, number: event.message }, event.kind));
        });
        let hard = Conditions::unreliable().with_duplicates(0.2).with_late_requests(0.2);
        pair.network.set_conditions(hard.with_long_reordering());
        for n in 0..200 {
            let _ = pair.end.call(&Name(n));
        }
    });
    outcome.result.expect("calls may fail");
    touched.lock().clone()
}

/// Whatever is spared, chance does the same to the others: a run can be repeated with less.
#[test]
fn messages_can_be_spared_one_by_one() {
    let requests = |touched: &[(MessageId, NetEventKind)]| -> Vec<_> {
        touched.iter().filter(|(id, _)| id.kind == MessageKind::Request).cloned().collect()
    };
    let all = touched(None);
    assert!(requests(&all).len() > 50 && all.len() > 150, "{}", all.len());
    assert_eq!(touched(Some(Vec::new())), []);
    // One message may be late and arrive twice.
    let names: Vec<_> = requests(&all).into_iter().map(|(id, _)| id).step_by(3).collect();
    let every_third: Vec<_> = all.into_iter().filter(|(id, _)| names.contains(id)).collect();
    assert_eq!(touched(Some(names)), every_third);
    assert_eq!(every_third[0].0.to_string(), format!("C0>S0 request {}", every_third[0].0.number));
}

/// That all is lost is no chance: who cannot hear does not hear what is spared, either.
#[test]
fn what_is_certain_to_be_lost_is_not_spared() {
    let outcome = sim::run(Config::with_seed(11), move || {
        let pair = pair();
        pair.network.spare_all_but([]);
        pair.network.set_conditions(Conditions { request_loss: 1.0, ..Conditions::reliable() });
        assert!(pair.end.call(&Name(0)).is_err());
        pair.network.set_conditions(Conditions { reply_loss: 1.0, ..Conditions::reliable() });
        assert!(pair.end.call(&Name(1)).is_err());
        pair.network.set_conditions(Conditions { request_loss: 0.999, ..Conditions::reliable() });
        assert!(pair.end.call(&Name(2)).is_ok());
    });
    outcome.result.expect("these calls fail and succeed as they should");
}
