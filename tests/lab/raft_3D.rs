//! Part 3D: log compaction (Raft 7).

use std::time::Duration;

use labrpc::{Conditions, DelayRange};
use labrt::sim;
use labrt::time::Instant;
use labsystem::lab;
use labtester::cluster::UNRELIABLE;
use labtester::expect::{AGREEMENT, ELECTION_TIMEOUT};
use labtester::text::{at, span};
use labtester::{Cluster, Failure, takes_snapshot_at};
use raftapi::{LogIndex, ServerId};
use rand::RngExt as _;

/// Bytes of each command.
const COMMAND: usize = 32;

/// A server's saved Raft state stays below this. Snapshots are taken every ten commands, so about
/// twenty entries are left at most; this is room for forty, each half as large again as its command.
const STATE_LIMIT: usize = 2000;

/// More commands than fit in [`STATE_LIMIT`], whatever the encoding: who missed so many can only be
/// helped by a snapshot.
const MISSED: usize = STATE_LIMIT / COMMAND + 20;

/// Snapshots shorten the logs.
#[test]
fn snapshot_basic() {
    lab("3D", "snapshots, basic", 3).snapshots().run(|cluster| {
        snapshots_and(cluster, Absence::None);

        // A snapshot is saved even if nothing else happens: the tester looks a moment later.
        while !takes_snapshot_at(ServerId(0), agree(cluster, 3)) {}
        cluster.sleep(Duration::from_millis(500));
        expect_small_states(cluster);

        snapshot_of_an_older_term(cluster);
    });
}

/// The last entry that a snapshot includes may be older than the term in which it is taken; the
/// snapshot still ends with that entry, term and all.
fn snapshot_of_an_older_term(cluster: &Cluster) {
    let old = cluster.expect_one_leader();
    while !takes_snapshot_at(old, agree(cluster, 3).next()) {}
    // The next entry is the last of its next snapshot. As leader without followers it alone has it.
    cluster.disconnect(old);
    cluster.start(old, &cluster.command_of(COMMAND));
    cluster.expect_one_leader();

    // It follows another leader, who has nothing new, and is the only one who can succeed it. The
    // entry is committed then, in a newer term than its own.
    cluster.connect(old);
    let leader = cluster.expect_one_leader();
    let away = if leader == old { cluster.after(old, 1) } else { leader };
    cluster.disconnect(away);
    agree(cluster, 2);
    cluster.connect(away);
    agree(cluster, 3);
}

/// A server that was cut off is brought back by a snapshot.
#[test]
fn snapshot_install() {
    lab("3D", "install snapshots (disconnect)", 4).snapshots().run(|cluster| {
        snapshots_and(cluster, Absence::Disconnected);
        snapshot_within_a_stale_tail(cluster);
        slow_service(cluster);
        late_answer_to_a_snapshot(cluster);
        one_snapshot_at_a_time(cluster);
        entries_that_follow_a_snapshot(cluster);
    });
}

/// Snapshots that a leader may send a follower in [`WITHOUT_ANSWER`]: one, and now and then another.
const SNAPSHOTS: u64 = 3;
const WITHOUT_ANSWER: Duration = Duration::from_millis(500);

/// A follower needs a snapshot, and its answer takes a second. Meanwhile it is not sent the same again and
/// again, nor newer ones, although commands and snapshots go on: each may have megabytes (Raft 7).
fn one_snapshot_at_a_time(cluster: &Cluster) {
    let sent = cluster.in_one_term("a snapshot is sent", snapshots_without_answer);
    cluster.expect_at_most(
        "snapshots to one follower",
        sent,
        SNAPSHOTS,
        &format!(
            "a leader waits for the answer to a snapshot, here for {}, before it sends the next",
            span(WITHOUT_ANSWER)
        ),
        "what a heartbeat, and what start() sends to a follower while a snapshot is on its way to it",
    );
}

/// How many snapshots a follower is sent whose answer is held back. `None` if the leader changed meanwhile,
/// or sent none.
fn snapshots_without_answer(cluster: &Cluster) -> Option<u64> {
    let leader = cluster.expect_settled_leader();
    let term = cluster.newest_term();
    let follower = cluster.after(leader, 1);
    // Not for so long that it campaigns.
    cluster.disconnect(follower);
    for _ in 0..MISSED {
        cluster.start(leader, &cluster.command_of(COMMAND));
    }
    agree(cluster, 2);
    let slow = DelayRange::millis(5, 5);
    cluster.set_conditions(Conditions { delay: slow, ..Conditions::reliable() });
    let since = sim::elapsed();
    cluster.connect(follower);
    let mut patience = 2 * ELECTION_TIMEOUT;
    while cluster.snapshots_sent(leader, follower, since) == 0 && !patience.is_zero() {
        patience = patience.saturating_sub(Duration::from_millis(1));
        cluster.sleep(Duration::from_millis(1));
    }
    let late = DelayRange { min: ELECTION_TIMEOUT, max: ELECTION_TIMEOUT };
    cluster.delay_replies(follower, leader, Some(late));
    for _ in 0..50 {
        cluster.start(leader, &cluster.command_of(COMMAND));
        cluster.sleep(WITHOUT_ANSWER / 50);
    }
    let sent = cluster.snapshots_sent(leader, follower, since);
    cluster.delay_replies(follower, leader, None);
    cluster.set_conditions(Conditions::reliable());
    agree(cluster, 3);
    (cluster.newest_term() == term && sent > 0).then_some(sent)
}

/// The snapshot that an old leader is sent ends within what it took in alone. None of that follows
/// the snapshot, so none may stay (Figure 13, 7). And it may be the first that it hears of a newer
/// term: what it takes in as leader afterwards would get an index a second time.
fn snapshot_within_a_stale_tail(cluster: &Cluster) {
    let old = cluster.expect_one_leader();
    agree(cluster, 3);
    cluster.disconnect(old);
    for _ in 0..40 {
        cluster.start(old, &cluster.command_of(COMMAND));
    }
    cluster.look_at_log(old);
    for _ in 0..25 {
        agree(cluster, 2);
    }
    // Its log is looked at when the snapshot arrives.
    cluster.connect(old);
    for _ in 0..500 {
        cluster.start(old, &cluster.command_of(COMMAND));
        cluster.sleep(Duration::from_micros(200));
    }
    agree(cluster, 3);
}

/// A snapshot arrives while the service has yet to take older commands. It gets these first.
fn slow_service(cluster: &Cluster) {
    let leader = cluster.expect_one_leader();
    let slow = cluster.after(leader, 1);
    let stall = cluster.stall_service(slow);
    agree(cluster, 2);
    for _ in 0..5 {
        cluster.start(leader, &cluster.command_of(COMMAND));
    }
    agree(cluster, 2);
    cluster.sleep(ELECTION_TIMEOUT / 5);
    cluster.disconnect(slow);
    for _ in 0..25 {
        agree(cluster, 2);
    }
    cluster.connect(slow);
    cluster.sleep(2 * ELECTION_TIMEOUT);
    drop(stall);
    agree(cluster, 3);
}

/// The answer to a snapshot arrives when much more has been sent and stored. Nothing is sent again.
fn late_answer_to_a_snapshot(cluster: &Cluster) {
    let leader = cluster.expect_one_leader();
    let follower = cluster.after(leader, 1);
    cluster.disconnect(follower);
    for _ in 0..25 {
        agree(cluster, 2);
    }
    cluster.hold_back_replies(follower, leader, true);
    cluster.connect(follower);
    cluster.sleep(ELECTION_TIMEOUT / 2);
    cluster.hold_back_replies(follower, leader, false);
    for _ in 0..8 {
        cluster.expect_agreement_on(&cluster.command_of(10_000), 3, AGREEMENT);
    }
    cluster.expect_silence(
        3 * ELECTION_TIMEOUT,
        "what an old reply to InstallSnapshot does to nextIndex and matchIndex",
    );
}

/// A follower has acknowledged entries that follow a snapshot, and knows of no commit, when the snapshot
/// arrives: they stay (Raft 7: what follows the last included entry is retained). If they do not, the
/// leader has committed what it alone has.
fn entries_that_follow_a_snapshot(cluster: &Cluster) {
    let leader = cluster.expect_settled_leader();
    let [quick, slow] = [1, 2].map(|steps| cluster.after(leader, steps));
    cluster.delay_requests(leader, slow, Some(DelayRange::millis(200, 250)));
    cluster.delay_replies(quick, leader, Some(DelayRange::millis(120, 150)));
    // These commit, and are in a snapshot, as soon as the quick one's answer arrives.
    for _ in 0..2 * INTERVAL {
        cluster.start(leader, &cluster.command_of(COMMAND));
    }
    cluster.sleep(Duration::from_millis(60));
    // And these follow them, to the slow one alone.
    cluster.disconnect(quick);
    let mut last = None;
    for _ in 0..INTERVAL {
        last = cluster.start(leader, &cluster.command_of(COMMAND));
    }
    // Now the snapshot is on its way to the slow one, and after it what makes good any harm.
    if let Some(last) = last
        && cluster.applied_within(last.index, 1, Duration::from_secs(2))
    {
        cluster.sleep(Duration::from_millis(200));
    }
    cluster.disconnect(leader);
    cluster.connect(quick);
    agree(cluster, 2);
    cluster.delay_requests(leader, slow, None);
    cluster.delay_replies(quick, leader, None);
    cluster.connect_all();
    agree(cluster, 3);
}

/// A service takes a snapshot every so many commands.
const INTERVAL: usize = 10;

/// The same over a network that loses messages.
#[test]
fn snapshot_install_unreliable() {
    lab("3D", "install snapshots (disconnect, unreliable)", 4).snapshots().unreliable().run(
        |cluster| {
            snapshots_and(cluster, Absence::Disconnected);
            everything_twice(cluster);
        },
    );
}

/// Every request arrives a second time, up to 5 s later, also the one with a snapshot.
fn everything_twice(cluster: &Cluster) {
    cluster.set_conditions(UNRELIABLE.with_duplicates(1.0));
    let follower = cluster.after(cluster.expect_one_leader(), 1);
    cluster.disconnect(follower);
    for _ in 0..25 {
        agree(cluster, 2);
    }
    cluster.connect(follower);
    for _ in 0..50 {
        agree(cluster, 3);
        cluster.sleep(ELECTION_TIMEOUT / 10);
    }
}

/// A server that crashed is brought back by a snapshot.
#[test]
fn snapshot_install_crash() {
    lab("3D", "install snapshots (crash)", 4).snapshots().run(|cluster| {
        snapshots_and(cluster, Absence::Crashed);
        nothing_but_snapshots(cluster);
    });
}

/// A server needs a snapshot, and none of its answers arrives. So it may be sent that snapshot again
/// and again, and nothing else. This tells it, too, that there is a leader.
fn nothing_but_snapshots(cluster: &Cluster) {
    let leader = cluster.expect_settled_leader();
    let follower = cluster.after(leader, 1);
    // The next entry is the last of the leader's next snapshot.
    while !takes_snapshot_at(leader, agree(cluster, 3).next()) {}
    cluster.crash(follower);
    agree(cluster, 2);
    cluster.lose_replies(follower, leader, true);
    cluster.restart(follower);
    cluster.connect(follower);
    cluster.expect_to_follow(follower, leader, ELECTION_TIMEOUT);
    cluster.lose_replies(follower, leader, false);
    agree(cluster, 3);
}

/// The same over a network that loses messages.
#[test]
fn snapshot_install_un_crash() {
    lab("3D", "install snapshots (unreliable, crash)", 4)
        .snapshots()
        .unreliable()
        .run(|cluster| snapshots_and(cluster, Absence::Crashed));
}

/// Committed commands survive when all servers crash, snapshots and all.
#[test]
fn snapshot_all_crash() {
    lab("3D", "crash and restart all servers", 3).snapshots().run(|cluster| {
        let mut dice = cluster.dice("all crash");
        agree(cluster, 3);
        for _ in 0..5 {
            for _ in 0..dice.random_range(5..15) {
                agree(cluster, 3);
            }
            let before = agree(cluster, 3);
            restart_all(cluster);
            let after = agree(cluster, 3);
            if after <= before {
                cluster.expect_index(after, LogIndex(before.0 + 1));
            }
        }
        crashes_at_saves(cluster);
    });
}

/// Servers crash between one save and the next. Log and snapshot belong together after every single
/// one.
fn crashes_at_saves(cluster: &Cluster) {
    let nemesis = cluster.crash_at_saves(0.1);
    for _ in 0..100 {
        // Agreement is not demanded: crashes may come faster than elections.
        let command = cluster.command_of(COMMAND);
        for server in cluster.servers() {
            cluster.start(server, &command);
        }
        cluster.sleep(ELECTION_TIMEOUT / 20);
    }
    drop(nemesis);
    agree(cluster, 3);
}

/// A server that restarts from a snapshot, and saves something before it takes another, still has
/// the snapshot at its next restart.
#[test]
fn snapshot_init() {
    lab("3D", "snapshot initialization after crash", 3).snapshots().run(|cluster| {
        for _ in 0..12 {
            agree(cluster, 3);
        }
        restart_all(cluster);
        agree(cluster, 3);
        restart_all(cluster);
        agree(cluster, 3);
    });
}

/// How many commands a leader takes in that nobody else will have.
const STALE: usize = 12;

/// What happens to one server in each round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    None,
    Disconnected,
    Crashed,
}

impl Absence {
    fn end(self, cluster: &Cluster, victim: ServerId) {
        if self == Absence::Crashed {
            cluster.restart(victim);
        }
        cluster.connect(victim);
    }
}

/// Thirty rounds of commands, in each of which one server misses some; every third time it is the
/// leader. In the last rounds, one with a follower and one with the leader away, it misses so many
/// that only a snapshot can help.
fn snapshots_and(cluster: &Cluster, absence: Absence) {
    const ROUNDS: usize = 30;
    let mut dice = cluster.dice("snapshots");
    agree(cluster, 3);
    let mut leader = cluster.expect_one_leader();
    for round in 0..ROUNDS {
        let other = cluster.after(leader, 1);
        let (victim, sender) = if round % 3 == 1 { (leader, other) } else { (other, leader) };
        let present = if absence == Absence::None { 3 } else { 2 };
        if absence != Absence::None {
            if absence == Absence::Disconnected {
                cluster.disconnect(victim);
            }
            // If it leads, it takes in what will be lost, beyond where the next snapshot ends.
            for _ in 0..STALE {
                cluster.start(victim, &cluster.command_of(COMMAND));
            }
            if absence == Absence::Crashed {
                cluster.crash(victim);
            }
            agree(cluster, 2);
        }
        for _ in 0..dice.random_range(5..15) {
            cluster.start(sender, &cluster.command_of(COMMAND));
        }
        let needs_snapshot = absence != Absence::None && round + 2 >= ROUNDS;
        if needs_snapshot {
            for _ in 0..MISSED {
                agree(cluster, 1);
            }
        }
        agree(cluster, present);
        expect_small_states(cluster);
        if absence != Absence::None {
            let before = installs(cluster, victim);
            // The last snapshot must be on the disk as soon as it is acknowledged.
            let nemesis = (absence == Absence::Crashed && round + 1 == ROUNDS)
                .then(|| cluster.crash_after_replies("Raft.InstallSnapshot", 1.0));
            absence.end(cluster, victim);
            agree(cluster, 3);
            // Who crashes right after it acknowledged may have handed nothing to its service.
            let struck = nemesis.is_some_and(|nemesis| nemesis.strikes() > 0);
            let missed_it_all = needs_snapshot && cluster.is_as_told();
            if missed_it_all && !struck && installs(cluster, victim) == before {
                no_snapshot_installed(victim).raise();
            }
            leader = cluster.expect_one_leader();
        }
    }
}

fn agree(cluster: &Cluster, servers: usize) -> LogIndex {
    cluster.expect_agreement_on(&cluster.command_of(COMMAND), servers, AGREEMENT)
}

fn installs(cluster: &Cluster, server: ServerId) -> u64 {
    cluster.checker().ask(|history| history.applied.installs(server))
}

fn restart_all(cluster: &Cluster) {
    for server in cluster.servers() {
        cluster.crash(server);
    }
    for server in cluster.servers() {
        cluster.restart(server);
        cluster.connect(server);
    }
}

/// Every server's Raft state must be small, now or in a moment.
fn expect_small_states(cluster: &Cluster) {
    const MOMENT: Duration = Duration::from_millis(100);
    let deadline = Instant::now() + MOMENT;
    loop {
        let (size, server) = cluster.largest_state();
        if size < STATE_LIMIT {
            cluster.spends("bytes of Raft state", size as u64, STATE_LIMIT as u64);
            return;
        }
        if Instant::now() >= deadline {
            Failure::budget("a log is too long")
                .expected(format!(
                    "less than {STATE_LIMIT} bytes of Raft state, {} after the last command: with a \
                     snapshot every ten commands of {COMMAND} bytes (Raft 7)",
                    span(MOMENT)
                ))
                .happened(format!("{server} has saved {size} bytes, {}", at(labrt::sim::elapsed())))
                .look_at("what snapshot() and InstallSnapshot drop from the log, and what is saved then")
                .raise();
        }
        cluster.sleep(MOMENT / 10);
    }
}

fn no_snapshot_installed(victim: ServerId) -> Failure {
    Failure::budget("the log before a snapshot was kept")
        .expected(format!(
            "a server that missed {MISSED} commands, with snapshots every ten, is sent a snapshot \
             (Raft 7)"
        ))
        .happened(format!("{victim} caught up without one, {}", at(labrt::sim::elapsed())))
        .look_at("what snapshot() drops from the log")
}
