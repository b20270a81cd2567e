//! Part 3C: what survives a crash (Raft Figure 2, "Persistent state"; 5.4.2, Figure 8).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use labgob::Bytes;
use labrpc::{Conditions, DelayRange};
use labrt::thread;
use labsystem::lab;
use labtester::cluster::UNRELIABLE;
use labtester::elections::SURELY_SAVED;
use labtester::expect::{AGREEMENT, ELECTION_TIMEOUT};
use labtester::{Cluster, Failure};
use raftapi::{LogIndex, ServerId};
use rand::RngExt as _;

/// Committed commands survive when all servers crash, and when one does.
#[test]
fn persist_1() {
    lab("3C", "basic persistence", 3).run(|cluster| {
        cluster.expect_agreement(3);

        for server in cluster.servers() {
            cluster.restart(server);
        }
        cluster.connect_all();
        cluster.expect_agreement(3);

        let leader = cluster.expect_one_leader();
        cluster.restart(leader);
        cluster.connect(leader);
        cluster.expect_agreement(3);

        let leader = cluster.expect_one_leader();
        cluster.disconnect(leader);
        let index = cluster.expect_agreement(2);
        cluster.restart(leader);
        cluster.connect(leader);
        cluster.expect_applied(index, 3);

        let follower = cluster.after(cluster.expect_one_leader(), 1);
        cluster.disconnect(follower);
        cluster.expect_agreement(2);
        cluster.restart(follower);
        cluster.connect(follower);
        cluster.expect_agreement(3);

        votes_survive(cluster);
    });
}

/// Elections in which two candidates often meet, and whoever has voted crashes as soon as its vote
/// has arrived. If it forgets the vote, the other candidate gets it too, and both lead.
fn votes_survive(cluster: &Cluster) {
    // Requests take long, so that candidates do not hear of each other in time.
    let slow = DelayRange::millis(0, 80);
    cluster.set_conditions(Conditions { extra_request_delay: slow, ..Conditions::reliable() });
    let nemesis = cluster.crash_after_replies("Raft.RequestVote", 1.0);
    for _ in 0..20 {
        for server in cluster.servers() {
            cluster.restart(server);
            cluster.connect(server);
        }
        // A leader is not demanded: crashes may come faster than elections.
        cluster.sleep(ELECTION_TIMEOUT * 6 / 5);
    }
    drop(nemesis);
    cluster.set_conditions(Conditions::reliable());
    cluster.expect_agreement(3);
}

/// Pairs of servers come and go so that no two majorities are the same.
#[test]
fn persist_2() {
    lab("3C", "more persistence", 3).servers(5).run(|cluster| {
        for _ in 0..5 {
            cluster.expect_agreement(5);

            let leader = cluster.expect_one_leader();
            let [one, two, three, four] = [1, 2, 3, 4].map(|n| cluster.after(leader, n));
            cluster.disconnect(one);
            cluster.disconnect(two);
            cluster.expect_agreement(3);

            for server in [leader, three, four] {
                cluster.disconnect(server);
            }
            for server in [one, two] {
                cluster.restart(server);
                cluster.connect(server);
            }
            cluster.sleep(ELECTION_TIMEOUT);
            cluster.restart(three);
            cluster.connect(three);
            cluster.expect_agreement(3);

            cluster.connect(four);
            cluster.connect(leader);
        }
        cluster.expect_agreement(5);
    });
}

/// A leader and a follower crash after a commit; the leader returns together with the follower that
/// had missed it.
#[test]
fn persist_3() {
    lab("3C", "partitioned leader and a follower crash", 3).run(|cluster| {
        cluster.expect_agreement(3);

        let leader = cluster.expect_one_leader();
        let [one, two] = [1, 2].map(|n| cluster.after(leader, n));
        cluster.disconnect(two);
        cluster.expect_agreement(2);

        cluster.crash(leader);
        cluster.crash(one);
        cluster.connect(two);
        cluster.restart(leader);
        cluster.connect(leader);
        cluster.expect_agreement(2);

        cluster.restart(one);
        cluster.connect(one);
        cluster.expect_agreement(3);

        learned_term_survives(cluster);
        replaced_entry_survives(cluster);
    });
}

/// An entry that took the place of another is saved before it is acknowledged, although the log is
/// no longer than it was.
fn replaced_entry_survives(cluster: &Cluster) {
    // The old leader takes in what nobody else has. It keeps that at first, under the next leader,
    // who has nothing for it.
    cluster.expect_agreement(3);
    let old = cluster.expect_one_leader();
    cluster.disconnect(old);
    cluster.propose(old);
    let leader = cluster.expect_one_leader();
    let third = cluster.servers().find(|server| ![old, leader].contains(server));
    let third = third.expect("there are three");
    cluster.disconnect(third);
    cluster.connect(old);
    cluster.expect_settled_leader();

    // Now it gets another entry for the same index, and crashes when that is committed. The one
    // who never got it must not find any other there.
    cluster.expect_agreement(1);
    cluster.restart(old);
    cluster.disconnect(leader);
    cluster.connect_each(&[old, third]);
    cluster.expect_agreement(2);
    cluster.connect(leader);
    cluster.expect_agreement(3);
}

/// A server that has learned of a newer term, from a candidate it refused, knows it after a crash.
fn learned_term_survives(cluster: &Cluster) {
    // One server campaigns alone, while the others go on without it.
    let leader = cluster.expect_one_leader();
    let [one, two] = [1, 2].map(|n| cluster.after(leader, n));
    cluster.disconnect(two);
    cluster.expect_agreement(2);
    cluster.sleep(3 * ELECTION_TIMEOUT);

    // It returns, and what it asks for is refused: its log is old. The checker compares the terms
    // of the one who crashes next.
    let before = cluster.newest_term();
    cluster.connect(two);
    for _ in 0..200 {
        cluster.sleep(Duration::from_millis(5));
        if cluster.look(one).is_some_and(|(term, _)| term >= before) {
            break;
        }
    }
    cluster.sleep(SURELY_SAVED + Duration::from_millis(5));
    cluster.restart(one);
    cluster.connect(one);
    cluster.expect_agreement(3);
}

/// An entry of an earlier term is not committed by counting its copies (Raft 5.4.2): first the
/// paper's figure, scene by scene, then a thousand rounds of leaders that crash right after they
/// took a command in.
#[test]
fn figure_8() {
    lab("3C", "Figure 8", 4).servers(5).run(|cluster| {
        figure_8_by_the_book(cluster);
        answers_to_an_earlier_leadership(cluster);

        let mut dice = cluster.dice("figure 8");
        let mut crashes = 0;
        let mut nemesis = None;
        for round in 0..1000 {
            if round == 500 {
                // What a follower acknowledged it must still have after a crash.
                nemesis = Some(cluster.crash_after_replies("Raft.AppendEntries", 0.1));
            }
            let leader = cluster.propose_to_all();
            cluster.sleep(short_or_long_pause(&mut dice));
            if let Some((leader, _)) = leader {
                cluster.crash(leader);
                crashes += 1;
            }
            if cluster.count_up() < 3 {
                let server = ServerId(dice.random_range(0..5));
                if !cluster.is_up(server) {
                    cluster.restart(server);
                    cluster.connect(server);
                }
            }
        }
        if crashes < 5 {
            Failure::liveness("too few leaders")
                .expected("in half a minute, with a majority up for most of it, at least five leaders (Raft 5.2)")
                .happened(format!("{crashes} leaders took a command in"))
                .look_at("how long an election takes, above all after a restart")
                .raise();
        }
        drop(nemesis);
        cluster.expect_progress_of_a_majority("survivors");
        revive_all(cluster);
        cluster.expect_agreement(5);
    });
}

/// The scenes of Figure 8. S1 to S5 of the paper are `a` to `e`.
#[expect(clippy::many_single_char_names, reason = "they are named as in the figure")]
fn figure_8_by_the_book(cluster: &Cluster) {
    cluster.expect_agreement(5);

    // (a) The leader gets an entry to one follower only.
    let a = cluster.expect_one_leader();
    let [b, c, d, e] = [1, 2, 3, 4].map(|n| cluster.after(a, n));
    for server in [c, d, e] {
        cluster.disconnect(server);
    }
    cluster.propose(a);
    cluster.sleep(ELECTION_TIMEOUT / 2);

    // (b) It crashes. One of the others is elected without it, and takes in another entry for the
    // same index, alone.
    cluster.crash(a);
    cluster.disconnect(b);
    for server in [c, d, e] {
        cluster.connect(server);
    }
    let e = cluster.expect_one_leader();
    cluster.disconnect(e);
    cluster.propose(e);
    cluster.sleep(ELECTION_TIMEOUT / 10); // until it is saved
    cluster.crash(e);

    // (c) The first entry's holders return; one of them leads, and brings the entry to a majority.
    // In its own term it has no entry, so this must commit nothing.
    cluster.restart(a);
    cluster.connect(a);
    cluster.connect(b);
    cluster.expect_one_leader();
    cluster.sleep(ELECTION_TIMEOUT);

    // (d) Both crash, and the second entry's leader returns. Its log is the newest: it wins, and
    // overwrites the first entry. Whoever has applied that is found out.
    cluster.crash(a);
    cluster.crash(b);
    cluster.restart(e);
    cluster.connect(e);
    cluster.expect_agreement(3);
    for server in [a, b] {
        cluster.restart(server);
        cluster.connect(server);
    }
    cluster.expect_agreement(5);
}

/// A leads, B leads and A loses its tail; when A leads again, answers come to what it asked the first time. They
/// speak of a log that the witness had: it may have another by now, and they count for nothing (Raft 5.3, Figure 2:
/// reinitialized after election). If they count, A commits what two of five have, and the other three do not know.
fn answers_to_an_earlier_leadership(cluster: &Cluster) {
    cluster.connect_all();
    cluster.expect_agreement(5);
    let a = cluster.expect_settled_leader();
    let witness = cluster.after(a, 1);
    let others = all_but(cluster, &[a, witness]);
    // The witness has a tail that A will lose. Its answers come seconds late, whatever happens to the link.
    cluster.delay_replies(witness, a, Some(OVER_ELECTIONS));
    cluster.partition(|server| usize::from(others.contains(&server)));
    for _ in 0..8 {
        cluster.propose(a);
    }
    let (_, new) = accepted_by_one_of(cluster, &others, 3);
    cluster.disconnect(witness);
    cluster.delay_replies(witness, a, None);
    cluster.heal();
    cluster.expect_applied(new, 4);
    // One entry that A has, and two others lack.
    let (b, _) = accepted_by_one_of(cluster, &others, 4);
    let lacking = all_but(cluster, &[a, b, witness])[0];
    cluster.disconnect(lacking);
    accepted_by_one_of(cluster, &[a, b], 3);
    cluster.expect_the_first_to_win([a, witness, lacking]);
    // The witness gets nothing of what A takes now, and its old answers arrive.
    cluster.disconnect(witness);
    for _ in 0..4 {
        cluster.propose(a);
        cluster.sleep(OVER_ELECTIONS.max / 4);
    }
    cluster.disconnect_each(&[a, lacking]);
    cluster.connect_each(&all_but(cluster, &[a, lacking]));
    cluster.expect_agreement(3);
    cluster.connect_all();
    cluster.expect_agreement(5);
}

/// All but these.
fn all_but(cluster: &Cluster, these: &[ServerId]) -> Vec<ServerId> {
    cluster.servers().filter(|server| !these.contains(server)).collect()
}

/// Whoever of these leads takes a command, which so many servers apply. Who it was, and the index.
fn accepted_by_one_of(
    cluster: &Cluster,
    servers: &[ServerId],
    appliers: usize,
) -> (ServerId, LogIndex) {
    let step = Duration::from_millis(5);
    for _ in 0..PATIENCE.as_millis() / step.as_millis() {
        let taken = servers.iter().find_map(|&one| Some((one, cluster.propose(one)?.index)));
        if let Some((leader, index)) = taken
            && cluster.applied_within(index, appliers, SETTLED)
        {
            return (leader, index);
        }
        cluster.sleep(step);
    }
    cluster.relies_on(false, "a majority without its old leader agrees");
    unreachable!("that does not return")
}

/// Messages take half a millisecond at most; so after this a leader's entries are where they can be.
const SETTLED: Duration = Duration::from_millis(300);

/// Over an election or two; by the end of it all answers that were held back for so long are there.
const OVER_ELECTIONS: DelayRange = DelayRange::millis(3000, 10_000);

/// Elections included.
const PATIENCE: Duration = Duration::from_secs(20);

/// As the original: one pause in ten lasts up to half a second, the others a few milliseconds.
fn short_or_long_pause(dice: &mut labrt::rand::Rng) -> Duration {
    let longest = if dice.random_bool(0.1) { 500 } else { 13 };
    Duration::from_millis(dice.random_range(0..longest))
}

fn revive_all(cluster: &Cluster) {
    for server in cluster.servers() {
        cluster.restart_if_down(server);
        cluster.connect(server);
    }
}

/// Many clients at once are served over a network that loses one message in ten.
#[test]
fn unreliable_agree() {
    lab("3C", "unreliable agreement", 3).servers(5).unreliable().run(|cluster| {
        let mut clients = Vec::new();
        for _ in 1..50 {
            for _ in 0..4 {
                let cluster = cluster.clone();
                clients.push(thread::spawn(move || cluster.expect_agreement(1)));
            }
            cluster.expect_agreement(1);
        }
        cluster.set_conditions(Conditions::reliable());
        for client in clients {
            client.join().expect("a client that fails ends the run");
        }
        cluster.expect_agreement(5);

        let stats = cluster.stats();
        cluster.relies_on(stats.requests_lost + stats.replies_lost > 0, "no message was lost");
    });
}

/// Leaders are cut off right after they took commands in, while messages are lost and overtake each
/// other.
#[test]
fn figure_8_unreliable() {
    let lab = lab("3C", "Figure 8 (unreliable)", 4).servers(5).unreliable();
    lab.time_limit(Duration::from_mins(15)).run(|cluster| {
        let mut dice = cluster.dice("figure 8");
        cluster.expect_agreement(1);

        let mut cuts = 0;
        for round in 0..1000 {
            if round == 200 {
                cluster.set_conditions(UNRELIABLE.with_long_reordering());
            }
            let command = cluster.command();
            let takers =
                cluster.servers().filter(|server| cluster.start(*server, &command).is_some());
            let leader = takers.filter(|server| cluster.is_connected(*server)).last();
            cluster.sleep(short_or_long_pause(&mut dice));
            if let Some(leader) = leader
                && dice.random_bool(0.5)
            {
                cluster.disconnect(leader);
                cuts += 1;
            }
            if cluster.connected().len() < 3 {
                let server = ServerId(dice.random_range(0..5));
                if !cluster.is_connected(server) {
                    cluster.connect(server);
                }
            }
        }
        cluster.expect_progress_of_a_majority("survivors");
        cluster.connect_all();
        // Elections take their time on this network.
        cluster.expect_agreement_on(&cluster.command(), 5, 6 * AGREEMENT + cluster.repairs());

        let stats = cluster.stats();
        cluster.relies_on(cuts > 0, "no leader was cut off");
        cluster.relies_on(stats.late_replies > 0, "no reply came late");
    });
}

/// Servers come and go under load.
#[test]
fn reliable_churn() {
    lab("3C", "churn", 3).servers(5).run(|cluster| {
        churn(cluster);
    });
}

/// Servers come and go under load, on a network that loses messages.
#[test]
fn unreliable_churn() {
    lab("3C", "unreliable churn", 2).servers(5).unreliable().run(|cluster| {
        churn(cluster);
        let stats = cluster.stats();
        cluster.relies_on(stats.requests_lost + stats.replies_lost > 0, "no message was lost");
    });
}

fn churn(cluster: &Cluster) {
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|client| {
            let (cluster, stop) = (cluster.clone(), Arc::clone(&stop));
            thread::spawn(move || churn_client(&cluster, client, &stop))
        })
        .collect();

    let mut dice = cluster.dice("churn");
    for _ in 0..20 {
        if dice.random_bool(0.2) {
            cluster.disconnect(ServerId(dice.random_range(0..5)));
        }
        if dice.random_bool(0.5) {
            let server = ServerId(dice.random_range(0..5));
            cluster.restart_if_down(server);
            cluster.connect(server);
        }
        if dice.random_bool(0.2) {
            cluster.crash(ServerId(dice.random_range(0..5)));
        }
        cluster.sleep(ELECTION_TIMEOUT * 7 / 10);
    }
    cluster.expect_progress_of_a_majority("survivors");
    cluster.sleep(ELECTION_TIMEOUT);
    cluster.set_conditions(Conditions::reliable());
    revive_all(cluster);
    stop.store(true, Ordering::Relaxed);
    let seen: Vec<Bytes> = clients
        .into_iter()
        .flat_map(|client| client.join().expect("a client that fails ends the run"))
        .collect();
    cluster.sleep(ELECTION_TIMEOUT);

    let last = cluster.expect_agreement(5);
    cluster.expect_applied(last, 5);
    // What a client saw committed is in the log of every server. The checker compares every apply
    // with all others, so this can only fail if the checker is wrong.
    let applied: std::collections::BTreeSet<Bytes> =
        cluster.checker().ask(|history| history.applied.commands().cloned().collect());
    assert!(seen.iter().all(|command| applied.contains(command)), "a command was forgotten");
}

/// Gives commands to every server that is up until told to stop; returns those seen applied.
fn churn_client(cluster: &Cluster, client: u64, stop: &AtomicBool) -> Vec<Bytes> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let command = cluster.command();
        let index: Option<LogIndex> = cluster
            .servers()
            .filter_map(|server| cluster.start(server, &command))
            .map(|id| id.index)
            .last();
        let Some(index) = index else {
            cluster.sleep(Duration::from_millis(79 + 17 * client));
            continue;
        };
        for pause in [10, 20, 50, 100, 200] {
            if let Some(applied) = cluster.checker().ask(|h| h.applied.at(index).cloned()) {
                if applied == command {
                    seen.push(command);
                }
                break;
            }
            cluster.sleep(Duration::from_millis(pause));
        }
    }
    seen
}
