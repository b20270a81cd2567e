//! Part 3A: leader election (Raft 5.1, 5.2).

use std::time::Duration;

use labrpc::{Conditions, DelayRange};
use labtester::Lab;
use labtester::expect::ELECTION_TIMEOUT;
use raftapi::{ServerId, Term};
use rand::RngExt as _;

/// A leader is elected, and stays while nothing fails (Raft 5.2).
#[test]
fn initial_election() {
    Lab::new("3A", "initial election", 5).run(|cluster| {
        let leader = cluster.expect_settled_leader();
        let term = cluster.expect_same_term();
        assert!(term >= Term(1), "a leader in {term}");

        cluster.expect_stable(leader, 5 * ELECTION_TIMEOUT);
        cluster.expect_one_leader();
    });
}

/// A leader that is cut off is replaced, steps down when it returns, and without a majority nobody
/// leads (Raft 5.2).
#[test]
fn re_election() {
    Lab::new("3A", "election after network failure", 5).run(|cluster| {
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
    });
}

/// However often the leader is cut off together with a minority, the rest elects another; and the
/// elections leave nothing behind that goes on sending.
#[test]
fn many_elections() {
    Lab::new("3A", "multiple elections", 5).servers(7).run(|cluster| {
        let mut dice = cluster.dice("victims");
        let mut leader = cluster.expect_one_leader();
        for round in 0..15 {
            if round == 9 {
                // Now candidates learn late of each other, and meet more often.
                let slow = DelayRange::millis(10, 20);
                cluster.set_conditions(Conditions { delay: slow, ..Conditions::reliable() });
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
        cluster.set_conditions(Conditions::reliable());
        cluster.expect_idle(Duration::from_secs(2));
    });
}
