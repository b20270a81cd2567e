//! For each fault a test of its name: what it brings about can be seen, and so it fails when it does not.

#![expect(non_snake_case, reason = "a test has the name of its fault, for `make dead-faults`")]

use std::sync::Arc;

use labrpc::{Conditions, DelayRange, NetEventKind};
use labrt::node::Node;
use labrt::sim::{self, Config};
use labrt::time::{self, Duration};
use parking_lot::Mutex;
use raftapi::harness::Disk as _;
use raftapi::{LogIndex, ServerId};

use crate::choices::{Choices, Kept};
use crate::cluster::{Cluster, ServiceKind, Setup};
use crate::coverage::{Coverage, Met};
use crate::recorder::Recorder;
use crate::torture::effects::Effects;
use crate::torture::storm::Storm;
use crate::torture::{Crashes, Environment, Every, Partitions};

const S0: ServerId = ServerId(0);
const SEEDS: u64 = 3;
const SECOND: Duration = Duration::from_secs(1);
const OFTEN: Option<Every> =
    Some(Every { interval: Duration::from_millis(300), length: Duration::from_millis(500) });

/// Runs a story of three servers on some seeds.
fn play(conditions: Conditions, story: impl Fn(&Cluster) + Clone + Send + 'static) {
    for seed in 0..SEEDS {
        let story = story.clone();
        let setup = Setup {
            system: crate::system::tests::SYSTEM,
            servers: 3,
            conditions,
            service: ServiceKind::Tester { snapshots: false },
        };
        let outcome = sim::run(Config::with_seed(seed), move || {
            let choices = Arc::new(Choices::new(Kept::EVERYTHING, false));
            let cluster = Cluster::start_up(&setup, Arc::default(), choices, &Recorder::default());
            story(&cluster);
            cluster.finish();
        });
        if let Err(failure) = outcome.result {
            panic!("seed {seed}: {failure}");
        }
    }
}

/// How long messages have taken from one event of their call to another, on all links.
struct Travel(Arc<Mutex<Duration>>);

impl Travel {
    fn watch(cluster: &Cluster, [from, to]: [NetEventKind; 2]) -> Travel {
        let (begun, longest) = (Mutex::new(Vec::new()), Arc::new(Mutex::default()));
        let travel = Travel(Arc::clone(&longest));
        cluster.network().observe(move |event| {
            let mut begun = begun.lock();
            if event.kind == from {
                begun.push((event.call, event.at));
            } else if event.kind == to
                && let Some(place) = begun.iter().position(|(call, _)| *call == event.call)
            {
                let (_, since) = begun.swap_remove(place);
                let mut longest = longest.lock();
                *longest = (*longest).max(event.at.saturating_sub(since));
            }
        });
        travel
    }

    fn longest(&self) -> Duration {
        *self.0.lock()
    }
}

const REQUESTS: [NetEventKind; 2] = [NetEventKind::RequestSent, NetEventKind::RequestDelivered];
const REPLIES: [NetEventKind; 2] = [NetEventKind::ReplySent, NetEventKind::ReplyDelivered];

/// The leader, and somebody else.
fn two(cluster: &Cluster) -> (ServerId, ServerId) {
    let leader = cluster.expect_settled_leader();
    (leader, cluster.after(leader, 1))
}

/// Gives whoever leads a command now and then.
fn work(cluster: &Cluster, length: Duration) {
    for _ in 0..length.as_millis() / 50 {
        cluster.propose_to_all();
        cluster.sleep(Duration::from_millis(50));
    }
}

/// A command of this leader, which all three servers apply, or not.
fn all_apply(cluster: &Cluster, leader: ServerId) -> bool {
    let index = cluster.propose(leader).map_or(LogIndex(1), |id| id.index);
    cluster.applied_within(index, 3, SECOND)
}

/// How often servers have begun another life.
fn lives(cluster: &Cluster) -> u32 {
    let running = cluster.servers().filter_map(|server| cluster.running(server));
    running.map(|(node, ..)| node.incarnation()).sum()
}

/// The longest time for which a task of this node that looks at each millisecond could not look.
fn watch_gaps(node: &Node) -> Arc<Mutex<Duration>> {
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let gaps = Arc::clone(&longest);
    drop(node.spawn(move || {
        loop {
            let since = sim::elapsed();
            time::sleep(Duration::from_millis(1));
            let mut gaps = gaps.lock();
            *gaps = (*gaps).max(sim::elapsed().saturating_sub(since));
        }
    }));
    longest
}

/// An environment in which nothing happens.
fn calm() -> Environment {
    let drawn = Environment::draw(1, "raft");
    Environment {
        servers: 3,
        conditions: Conditions::reliable(),
        crashes: Crashes {
            any_time: None,
            at_save: 0.0,
            at_send: 0.0,
            at_reply: 0.0,
            at_vote: 0.0,
            at_apply: 0.0,
            at_install: 0.0,
            at_first_apply: 0.0,
            in_save: 0.0,
            leader_at_install: 0.0,
            ..drawn.crashes
        },
        partitions: Partitions {
            halves: None,
            one_way: None,
            flapping: None,
            at_first_apply: 0.0,
            ..drawn.partitions
        },
        pauses: None,
        stalls: None,
        slow_saves: 0.0,
        slow_disk: 0.0,
        calls_back: 0.0,
        slow_applies: false,
        clocks: vec![1.0; 3],
        snapshots: None,
        ..drawn
    }
}

/// A storm of three seconds.
fn in_storm(environment: Environment, tell: impl Fn(&Cluster, &Storm) + Clone + Send + 'static) {
    play(Conditions::reliable(), move |cluster| {
        let storm = Storm::gather(cluster, environment.clone());
        tell(cluster, &storm);
        storm.end();
        cluster.expect_agreement(3);
    });
}

// ---- of messages ----

#[test]
fn RequestLoss() {
    play(Conditions { request_loss: 0.3, ..Conditions::reliable() }, |cluster| {
        work(cluster, SECOND);
        assert!(cluster.stats().requests_lost > 0, "no request is lost");
    });
}

#[test]
fn ReplyLoss() {
    play(Conditions { reply_loss: 0.3, ..Conditions::reliable() }, |cluster| {
        work(cluster, SECOND);
        assert!(cluster.stats().replies_lost > 0, "no reply is lost");
    });
}

#[test]
fn ExtraRequestDelay() {
    let extra_request_delay = DelayRange::millis(20, 26);
    play(Conditions { extra_request_delay, ..Conditions::reliable() }, move |cluster| {
        let travel = Travel::watch(cluster, REQUESTS);
        work(cluster, SECOND);
        assert!(travel.longest() >= extra_request_delay.min, "no request takes longer");
    });
}

#[test]
fn Duplicates() {
    play(Conditions::reliable().with_duplicates(0.3), |cluster| {
        work(cluster, 8 * SECOND);
        assert!(cluster.stats().duplicates > 0, "no request arrives twice");
    });
}

#[test]
fn LateRequests() {
    play(Conditions::reliable().with_late_requests(0.1), |cluster| {
        let travel = Travel::watch(cluster, REQUESTS);
        work(cluster, 8 * SECOND);
        assert!(cluster.stats().late_requests > 0, "no request arrives late");
        assert!(travel.longest() >= Duration::from_millis(200), "none is late");
    });
}

#[test]
fn LateReplies() {
    play(Conditions { late_reply: 0.1, ..Conditions::reliable() }, |cluster| {
        let travel = Travel::watch(cluster, REPLIES);
        work(cluster, 4 * SECOND);
        assert!(cluster.stats().late_replies > 0, "no reply arrives late");
        assert!(travel.longest() >= Duration::from_millis(200), "none is late");
    });
}

#[test]
fn LongNoPath() {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Nothing;
    impl labrpc::Rpc for Nothing {
        type Reply = ();
        const METHOD: &'static str = "nothing";
    }
    play(Conditions::reliable(), |cluster| {
        let end = cluster.network().end(&Node::new("somebody"), "nobody");
        let since = sim::elapsed();
        for _ in 0..10 {
            let _ = end.call(&Nothing);
        }
        assert!(sim::elapsed().saturating_sub(since) > 2 * SECOND, "a dead link is known at once");
    });
}

#[test]
fn SlowLinks() {
    play(Conditions::reliable().with_slow_links(Duration::from_millis(5)), |cluster| {
        let (leader, _) = two(cluster);
        let travel = Travel::watch(cluster, REQUESTS);
        cluster.start(leader, &cluster.command_of(10_000));
        cluster.sleep(SECOND);
        assert!(travel.longest() >= Duration::from_millis(50), "length costs no time");
    });
}

#[test]
fn HoldBackReplies() {
    play(Conditions::reliable(), |cluster| {
        let (leader, other) = two(cluster);
        let travel = Travel::watch(cluster, REPLIES);
        cluster.hold_back_replies(other, leader, true);
        cluster.sleep(4 * SECOND);
        assert!(travel.longest() >= Duration::from_millis(200), "no reply is held back");
    });
}

#[test]
fn DelayRequests() {
    play(Conditions::reliable(), |cluster| {
        let (leader, other) = two(cluster);
        let travel = Travel::watch(cluster, REQUESTS);
        cluster.delay_requests(leader, other, Some(DelayRange::millis(50, 60)));
        cluster.sleep(SECOND);
        assert!(travel.longest() >= Duration::from_millis(50), "no request is late");
    });
}

#[test]
fn LoseReplies() {
    play(Conditions::reliable(), |cluster| {
        let (leader, other) = two(cluster);
        cluster.lose_replies(other, leader, true);
        cluster.sleep(SECOND);
        assert!(cluster.stats().replies_lost > 0, "no reply is lost");
    });
}

#[test]
fn Deafen() {
    play(Conditions::reliable(), |cluster| {
        let (leader, other) = two(cluster);
        cluster.deafen(other, false);
        assert!(!all_apply(cluster, leader), "{other} hears");
        cluster.undeafen(other);
    });
}

// ---- of servers ----

#[test]
fn Crash() {
    play(Conditions::reliable(), |cluster| {
        let (_, other) = two(cluster);
        cluster.crash(other);
        assert!(cluster.look(other).is_none(), "{other} is up");
    });
}

#[test]
fn Disconnect() {
    play(Conditions::reliable(), |cluster| {
        let (leader, other) = two(cluster);
        cluster.disconnect(other);
        assert!(!all_apply(cluster, leader), "{other} is connected");
    });
}

#[test]
fn Partition() {
    play(Conditions::reliable(), |cluster| {
        let (leader, other) = two(cluster);
        cluster.partition(|server| usize::from(server == other));
        assert!(!all_apply(cluster, leader), "{other} is not apart");
    });
}

#[test]
fn Stall() {
    play(Conditions::reliable(), |cluster| {
        let (leader, other) = two(cluster);
        let stall = cluster.stall_service(other);
        cluster.propose(leader);
        assert!(!all_apply(cluster, leader), "the service of {other} goes on");
        drop(stall);
    });
}

#[test]
fn CrashAfterReplies() {
    play(Conditions::reliable(), |cluster| {
        let method = Arc::new(Mutex::new(None));
        let heard = Arc::clone(&method);
        cluster.network().observe(move |event| *heard.lock() = Some(event.method));
        let _ = two(cluster);
        let method = method.lock().expect("a leader has called somebody");
        let nemesis = cluster.crash_after_replies(method, 0.1);
        work(cluster, 2 * SECOND);
        assert!(nemesis.strikes() > 0 && lives(cluster) > 0, "nobody crashes");
    });
}

#[test]
fn CrashAtSaves() {
    play(Conditions::reliable(), |cluster| {
        let nemesis = cluster.crash_at_saves(0.1);
        work(cluster, 2 * SECOND);
        drop(nemesis);
        cluster.sleep(SECOND);
        assert!(lives(cluster) > 0, "nobody crashes");
    });
}

// ---- of storms ----

#[test]
fn Strike() {
    let environment = calm();
    let crashes = Crashes { at_send: 0.05, ..environment.crashes };
    in_storm(Environment { crashes, ..environment }, |cluster, storm| {
        storm.begin();
        work(cluster, 3 * SECOND);
        assert!(lives(cluster) > 0, "nobody crashes");
        assert!(storm.shared.coverage.count(Met::CrashesAtSend) > 0, "it is not counted");
    });
}

#[test]
fn StrikeHere() {
    let environment = calm();
    let crashes = Crashes { at_apply: 0.1, ..environment.crashes };
    in_storm(Environment { crashes, ..environment }, |cluster, storm| {
        storm.begin();
        work(cluster, 3 * SECOND);
        assert!(lives(cluster) > 0, "nobody crashes");
        assert!(storm.shared.coverage.count(Met::CrashesAtApply) > 0, "it is not counted");
    });
}

#[test]
fn Pause() {
    in_storm(Environment { pauses: OFTEN, ..calm() }, |cluster, storm| {
        let gaps: Vec<_> =
            cluster.servers().map(|server| watch_gaps(&cluster.node(server))).collect();
        storm.begin();
        cluster.sleep(4 * SECOND);
        let longest = gaps.iter().map(|gap| *gap.lock()).max();
        assert!(longest > Some(Duration::from_millis(30)), "nobody stands still");
        assert!(storm.shared.coverage.count(Met::Pauses) > 0, "it is not counted");
    });
}

#[test]
fn Drift() {
    in_storm(Environment { clocks: vec![1.5, 1.0, 1.0], ..calm() }, |cluster, storm| {
        let takes = || {
            let since = sim::elapsed();
            cluster.node(S0).run(|| time::sleep(SECOND)).expect("nobody crashes");
            sim::elapsed().saturating_sub(since)
        };
        let right = takes();
        storm.begin();
        assert!(takes() + Duration::from_millis(200) < right, "the clock of {S0} is right");
        cluster.restart(S0);
        cluster.connect(S0);
        assert!(takes() + Duration::from_millis(200) < right, "its next life's is");
    });
}

#[test]
fn SlowApplies() {
    in_storm(Environment { slow_applies: true, ..calm() }, |cluster, storm| {
        let (leader, _) = two(cluster);
        storm.begin();
        let last = (0..100).filter_map(|_| cluster.propose(leader)).max();
        let last = last.expect("it leads").index;
        let soon = Duration::from_millis(50);
        assert!(!cluster.applied_within(last, 3, soon), "no service needs any time");
    });
}

#[test]
fn SlowDisk() {
    in_storm(Environment { slow_disk: 1.0, ..calm() }, |cluster, storm| {
        let longest = Arc::new(Mutex::new(Duration::ZERO));
        let began = Arc::new(Mutex::new(Duration::ZERO));
        let (begins, disk) = (Arc::clone(&began), cluster.persister(S0));
        disk.before_save(move |_| *begins.lock() = sim::elapsed()); // before what the storm does there
        storm.begin();
        let takes = Arc::clone(&longest);
        disk.on_save(move |_| {
            let mut takes = takes.lock();
            *takes = (*takes).max(sim::elapsed().saturating_sub(*began.lock()));
        });
        work(cluster, 3 * SECOND);
        assert!(*longest.lock() > Duration::from_millis(5), "saves are quick");
    });
}

#[test]
fn SlowSaves() {
    in_storm(Environment { slow_saves: 1.0, ..calm() }, |cluster, storm| {
        let gaps: Vec<_> =
            cluster.servers().map(|server| watch_gaps(&cluster.node(server))).collect();
        storm.begin();
        work(cluster, 3 * SECOND);
        let longest = gaps.iter().map(|gap| *gap.lock()).max();
        assert!(longest > Some(Duration::from_millis(5)), "nobody stands still at a save");
    });
}

#[test]
fn a_fault_without_effect_is_not_counted() {
    play(Conditions::reliable(), |cluster| {
        let (leader, other) = two(cluster);
        let coverage = Arc::new(Coverage::of(&[Met::Partitions, Met::Pauses]));
        let effects = Effects::watch(cluster, Arc::clone(&coverage));
        let begin = || {
            let apart = move |from, to| from == other || to == other;
            (effects.cut(Met::Partitions, apart), effects.pause(Met::Pauses, other))
        };

        let nothing = begin();
        assert!(all_apply(cluster, leader), "nothing keeps {other} from it");
        drop(nothing);
        assert_eq!(coverage.to_string(), "met partitions=0 pauses=0");

        let both = begin();
        cluster.partition(|server| usize::from(server == other));
        cluster.sleep(SECOND / 10);
        cluster.heal();
        drop(both);
        assert_eq!(coverage.count(Met::Partitions), 1);

        let both = begin();
        cluster.node(other).pause();
        cluster.sleep(SECOND / 2);
        cluster.node(other).resume();
        drop(both);
        assert_eq!(coverage.to_string(), "met partitions=1 pauses=1");
    });
}

#[test]
fn storms_count_what_links_and_services_meet() {
    let environment = calm();
    let partitions = Partitions { halves: OFTEN, flapping: OFTEN, ..environment.partitions };
    in_storm(Environment { partitions, stalls: OFTEN, ..environment }, |cluster, storm| {
        storm.begin();
        work(cluster, 4 * SECOND);
        for what in [Met::Partitions, Met::Flaps, Met::Stalls] {
            assert!(storm.shared.coverage.count(what) > 0, "{what:?}");
        }
    });
}

#[test]
fn OneWay() {
    let environment = calm();
    let partitions = Partitions { one_way: OFTEN, ..environment.partitions };
    in_storm(Environment { partitions, ..environment }, |cluster, storm| {
        storm.begin();
        work(cluster, 4 * SECOND);
        let stats = cluster.stats();
        assert!(stats.requests_lost + stats.replies_lost > 0, "links work both ways");
        assert!(storm.shared.coverage.count(Met::OneWay) > 0, "it is not counted");
    });
}
