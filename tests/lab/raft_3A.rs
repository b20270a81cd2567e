//! Part 3A: leader election (Raft 5.1, 5.2).

use std::time::Duration;

use labrpc::{Conditions, DelayRange};
use labrt::sim;
use labsystem::lab;
use labtester::Cluster;
use labtester::expect::ELECTION_TIMEOUT;
use raftapi::{ServerId, Term};
use rand::RngExt as _;

/// A leader is elected, and stays while nothing fails (Raft 5.2).
#[test]
fn initial_election() {
    lab("3A", "initial election", 5).run(|cluster| {
        let leader = cluster.expect_settled_leader();
        let term = cluster.expect_same_term();
        assert!(term >= Term(1), "a leader in {term}");

        cluster.expect_stable(leader, 5 * ELECTION_TIMEOUT);
        cluster.expect_one_leader();

        // Heartbeats that come a little early or late depose nobody, as long as none is lost.
        let uneven = DelayRange::millis(0, 80);
        cluster
            .set_conditions(Conditions { extra_request_delay: uneven, ..Conditions::reliable() });
        let seconds = if cluster.time_is_free() { 20 } else { 3 };
        cluster.expect_stable(leader, seconds * ELECTION_TIMEOUT);
    });
}

/// A leader that is cut off is replaced, steps down when it returns, and without a majority nobody
/// leads (Raft 5.2).
#[test]
fn re_election() {
    lab("3A", "election after network failure", 5).run(|cluster| {
        let first = cluster.expect_one_leader();
        cluster.disconnect(first);
        cluster.expect_one_leader();

        cluster.connect(first);
        let second = cluster.expect_one_leader();

        let other = cluster.after(second, 1);
        cluster.disconnect(second);
        cluster.disconnect(other);
        cluster.sleep(2 * ELECTION_TIMEOUT);
        cluster.expect_no_leader();

        cluster.connect(other);
        cluster.expect_one_leader();
        cluster.connect(second);
        cluster.expect_one_leader();

        an_answer_deposes(cluster);
    });
}

/// An old leader that nobody calls learns from the answers to its own calls that its term is over.
fn an_answer_deposes(cluster: &Cluster) {
    let old = cluster.expect_settled_leader();
    cluster.disconnect(old);
    cluster.expect_settled_leader();
    cluster.deafen(old, false);
    cluster.connect(old);
    cluster.expect_to_step_down(old);
    cluster.undeafen(old);
}

/// However often the leader is cut off together with a minority, the rest elects another; and the
/// elections leave nothing behind that goes on sending.
#[test]
fn many_elections() {
    let lab = lab("3A", "multiple elections", 5).servers(7);
    lab.time_limit(Duration::from_mins(4)).run(|cluster| {
        let mut dice = cluster.dice("victims");
        let mut leader = cluster.expect_one_leader();
        for round in 0..15 {
            if round == 9 {
                // Now candidates learn late of each other, and meet more often.
                let slow = DelayRange::millis(10, 20);
                cluster.set_conditions(Conditions { delay: slow, ..Conditions::reliable() });
                cluster.expect_prompt_leaders();
            }
            // The original takes three at random, and may miss the leader every time.
            let others = [dice.random_range(0..7), dice.random_range(0..7)].map(ServerId);
            let victims = [leader, others[0], others[1]];
            for victim in victims {
                cluster.disconnect(victim);
            }
            // Four or more of seven are left.
            leader = cluster.expect_one_leader();
            for victim in victims {
                cluster.connect(victim);
            }
        }
        if cluster.time_is_free() {
            one_election_a_leader(cluster);
            crowded_elections(cluster);
        }
        cluster.set_conditions(Conditions::reliable());
        heartbeats_of_the_past(cluster);
        cluster.expect_idle(Duration::from_secs(2));
    });
}

/// A lost leader is replaced in little more than one term, although votes and heartbeats take some
/// time: whoever has voted waits, and who has won stays.
fn one_election_a_leader(cluster: &Cluster) {
    const LEADERS: u64 = 20;
    let slow = DelayRange::millis(20, 40);
    cluster.set_conditions(Conditions { delay: slow, ..Conditions::reliable() });
    cluster.expect_settled_leader();
    let before = cluster.newest_term();
    for _ in 0..LEADERS {
        let leader = cluster.expect_one_leader();
        let lost = sim::elapsed();
        cluster.disconnect(leader);
        cluster.sleep(ELECTION_TIMEOUT * 6 / 5);
        cluster.expect_no_resignation(leader, lost);
        cluster.connect(leader);
    }
    let terms = cluster.newest_term().0 - before.0;
    cluster.expect_at_most(
        &format!("terms for {LEADERS} new leaders"),
        terms,
        LEADERS * 17 / 10,
        "each takes one, and now and then two candidates meet and a term has no leader (Raft 5.2)",
        "what resets the election timer, above all the vote; and what makes a leader step down",
    );
}

/// Elections in which three or four candidates often meet, and one fails after the other; in the
/// second half because votes come when the next election is on. Nobody has to win; but nobody wins
/// with votes of an earlier term, or with one that went to another.
fn crowded_elections(cluster: &Cluster) {
    let slow = DelayRange::millis(0, 120);
    let meet = Conditions { extra_request_delay: slow, ..Conditions::reliable() };
    for conditions in [meet, Conditions { late_reply: 0.9, ..meet }] {
        cluster.set_conditions(conditions);
        for _ in 0..20 {
            match cluster.leader_now() {
                Some((_, leader)) => {
                    cluster.disconnect(leader);
                    cluster.sleep(ELECTION_TIMEOUT);
                    cluster.connect(leader);
                }
                None => cluster.sleep(ELECTION_TIMEOUT / 10),
            }
        }
    }
}

/// An old leader goes on sending heartbeats, and hears nothing. Who is in a newer term refuses them,
/// and does not take them for those of a leader.
fn heartbeats_of_the_past(cluster: &Cluster) {
    let old = cluster.expect_settled_leader();
    cluster.disconnect(old);
    let newer = cluster.expect_settled_leader();
    let before = cluster.newest_term();
    cluster.deafen(old, true);
    cluster.connect(old);
    cluster.disconnect(newer);
    cluster.expect_newer_leader(before, old);
    cluster.undeafen(old);
    cluster.connect(newer);
}
