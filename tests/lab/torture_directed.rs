//! Scripted histories, each with one claim: those of the paper's Figures 7 and 8, and others that random
//! faults come to too seldom. They are worth no points.
//!
//! Who leads is for the servers to find out, so a script knows servers by their parts: whoever leads
//! first, whoever is elected without it. Where one certain server must win, the script lets no other:
//! with a bare majority up, of which one has entries that the rest lacks, the rest needs that one's
//! vote, and does not get it (Raft 5.4.1).
//!
//! What must hold in every run is checked as always; the claim is what comes on top of it. Nothing is
//! asked for that only the reference does: how a log is repaired, by how many messages, how soon.

use std::time::Duration;

use labrpc::Conditions;
use labsystem::lab;
use labtester::{Cluster, Lab};
use raftapi::{LogIndex, ServerId};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

/// Messages take half a millisecond at most; so after this a leader's entries are where they can be.
const SETTLED: Duration = Duration::from_millis(300);

/// So often a leader may be deposed just before the script makes use of it.
const TRIES: u32 = 20;

#[track_caller]
const fn history(title: &'static str) -> Lab {
    lab("torture", title, 0).servers(5)
}

/// Of five: all but these.
fn all_but(cluster: &Cluster, these: &[ServerId]) -> Vec<ServerId> {
    cluster.servers().filter(|server| !these.contains(server)).collect()
}

/// The leader is cut off, and then takes so many commands, which nobody else has.
fn leader_with_a_tail(cluster: &Cluster, commands: u64) -> ServerId {
    for _ in 0..TRIES {
        let leader = cluster.expect_settled_leader();
        cluster.disconnect(leader);
        if (0..commands).all(|_| cluster.propose(leader).is_some()) {
            return leader;
        }
        cluster.connect(leader);
    }
    cluster.relies_on(false, "a leader that was cut off just now takes commands");
    unreachable!("that does not return")
}

/// The leader and one follower are cut off from the rest; it takes so many commands, which the two have.
/// Then these two are cut off, and the rest is connected.
fn leader_whose_tail_one_other_has(cluster: &Cluster, commands: u64) -> ServerId {
    for _ in 0..TRIES {
        let leader = cluster.expect_settled_leader();
        let others = all_but(cluster, &[leader]);
        cluster.disconnect_each(&others[1..]);
        let taken = (0..commands).all(|_| cluster.propose(leader).is_some());
        cluster.sleep(SETTLED);
        if taken {
            cluster.disconnect_each(&[leader, others[0]]);
            cluster.connect_each(&others[1..]);
            return leader;
        }
        cluster.connect_all();
    }
    cluster.relies_on(false, "a leader that was cut off just now takes commands");
    unreachable!("that does not return")
}

/// A follower, by the dice of the script.
fn some_follower(cluster: &Cluster) -> ServerId {
    let leader = cluster.expect_settled_leader();
    cluster.after(leader, cluster.dice("a follower").random_range(1..cluster.len()))
}

/// All are connected: whatever was in their logs, they agree.
fn all_agree(cluster: &Cluster) {
    cluster.connect_all();
    let last = cluster.expect_agreement(cluster.len());
    cluster.expect_applied(last, cluster.len());
}

/// Four are connected, and agree on so many commands.
fn four_agree(cluster: &Cluster, commands: u32) {
    for _ in 0..commands {
        cluster.expect_agreement(4);
    }
}

/// The leader changes, and nothing else.
fn change_the_leader(cluster: &Cluster) {
    let old = cluster.expect_settled_leader();
    cluster.disconnect(old);
    cluster.expect_settled_leader();
    cluster.connect(old);
}

// ---- Figure 7: what a leader may find in a follower's log ----

/// (a) A follower that lacks the last entry gets it (Raft 5.3, Figure 7).
#[test]
fn figure_7_a_one_entry_is_missing() {
    history("Figure 7 (a): an entry is missing").run(|cluster| {
        cluster.expect_agreement(5);
        cluster.disconnect(some_follower(cluster));
        cluster.expect_agreement(4);
        change_the_leader(cluster);
        all_agree(cluster);
    });
}

/// (b) A follower that lacks entries of several terms gets them all (Raft 5.3, Figure 7).
#[test]
fn figure_7_b_entries_of_several_terms_are_missing() {
    history("Figure 7 (b): entries of several terms are missing").run(|cluster| {
        cluster.expect_agreement(5);
        cluster.disconnect(some_follower(cluster));
        for _ in 0..3 {
            four_agree(cluster, 2);
            change_the_leader(cluster);
        }
        all_agree(cluster);
    });
}

/// (c) An entry that a follower has too much gives way (Raft 5.3, Figure 7).
#[test]
fn figure_7_c_one_entry_too_much() {
    history("Figure 7 (c): an entry too much").run(|cluster| {
        cluster.expect_agreement(5);
        leader_with_a_tail(cluster, 1);
        cluster.expect_settled_leader();
        all_agree(cluster);
    });
}

/// (d) So do entries of a term of which nobody else has any (Raft 5.3, Figure 7).
#[test]
fn figure_7_d_a_term_too_much() {
    history("Figure 7 (d): entries of a term that nobody else has").run(|cluster| {
        cluster.expect_agreement(5);
        change_the_leader(cluster);
        leader_with_a_tail(cluster, 2);
        cluster.expect_settled_leader();
        all_agree(cluster);
    });
}

/// (e) A follower that has entries too much, and lacks others at the same indexes (Raft 5.3, Figure 7).
#[test]
fn figure_7_e_other_entries_at_the_same_indexes() {
    history("Figure 7 (e): other entries at the same indexes").run(|cluster| {
        cluster.expect_agreement(5);
        cluster.expect_agreement(5);
        leader_with_a_tail(cluster, 2);
        for _ in 0..2 {
            four_agree(cluster, 3);
            change_the_leader(cluster);
        }
        all_agree(cluster);
    });
}

/// (f) A follower that led several terms and could tell nobody of any entry (Raft 5.3, Figure 7).
#[test]
fn figure_7_f_several_terms_too_much() {
    history("Figure 7 (f): entries of several terms that nobody else has").run(|cluster| {
        cluster.expect_agreement(5);
        let follower = terms_of_its_own(cluster, 2, 3);
        cluster.connect_each(&all_but(cluster, &[follower]));
        four_agree(cluster, 6);
        all_agree(cluster);
    });
}

/// A server that leads so many terms, and takes so many commands in each, of which nobody hears. It is
/// cut off in the end.
fn terms_of_its_own(cluster: &Cluster, terms: u64, commands: u64) -> ServerId {
    let leader = leader_with_a_tail(cluster, commands);
    let mut led = 1;
    for _ in 0..TRIES {
        if led == terms {
            return leader;
        }
        let others = all_but(cluster, &[leader]);
        cluster.expect_the_first_to_win([leader, others[0], others[1]]);
        cluster.disconnect(leader);
        led += u64::from((0..commands).all(|_| cluster.propose(leader).is_some()));
    }
    cluster.relies_on(false, "a leader that was cut off just now takes commands");
    leader
}

// ---- Figure 8: entries of earlier terms ----

/// The parts in Figure 8, which the paper calls S1 to S5.
struct Figure8 {
    s1: ServerId,
    s2: ServerId,
    s3: ServerId,
    s4: ServerId,
    s5: ServerId,
}

/// Up to (c): the entry of T2 is on a majority, by the hand of a leader of T4.
fn figure_8_up_to_c(cluster: &Cluster) -> Figure8 {
    cluster.expect_agreement(5);
    // (a) The leader of T2 brings an entry to one other server.
    let (s1, s2, rest) = (0..TRIES)
        .find_map(|_| {
            let s1 = cluster.expect_settled_leader();
            let others = all_but(cluster, &[s1]);
            cluster.disconnect_each(&others[1..]);
            let taken = cluster.propose(s1).is_some();
            if !taken {
                cluster.connect_all();
            }
            taken.then(|| (s1, others[0], others[1..].to_vec()))
        })
        .expect("one of many leaders takes a command");
    cluster.sleep(SETTLED);
    // (b) It is down. Another is elected without the two, takes in something else, and is down.
    cluster.crash(s1);
    cluster.disconnect(s2);
    cluster.connect_each(&rest);
    let s5 = leader_with_a_tail(cluster, 1);
    cluster.crash(s5);
    let rest: Vec<ServerId> = rest.into_iter().filter(|server| *server != s5).collect();
    // (c) The two are back, and one of them is elected: it brings the entry to a third.
    cluster.disconnect(rest[1]);
    cluster.restart(s1);
    cluster.connect_each(&[s1, s2]);
    cluster.expect_settled_leader();
    cluster.sleep(SETTLED);
    Figure8 { s1, s2, s3: rest[0], s4: rest[1], s5 }
}

/// Those who led are down, and who was down is back, with two who hold what the others left there.
fn figure_8_s5_is_back(cluster: &Cluster, Figure8 { s1, s2, s3, s4, s5 }: &Figure8) {
    cluster.crash(*s1);
    cluster.crash(*s2);
    cluster.restart(*s5);
    cluster.connect_each(&[*s3, *s4, *s5]);
    cluster.expect_agreement(3);
    cluster.restart(*s1);
    cluster.restart(*s2);
    all_agree(cluster);
}

/// (d) An entry of an earlier term on a majority is not committed by that: it may be overwritten, and
/// then nobody has applied it (Raft 5.4.2, Figure 8).
#[test]
fn figure_8_d_an_old_entry_on_a_majority_is_not_committed() {
    history("Figure 8 (d): an old entry on a majority").run(|cluster| {
        let parts = figure_8_up_to_c(cluster);
        figure_8_s5_is_back(cluster, &parts);
    });
}

/// (e) With an entry of the leader's own term on a majority, all before it is committed, and who lacks
/// that cannot win (Raft 5.4.2, Figure 8).
#[test]
fn figure_8_e_an_entry_of_its_own_term_commits_all_before_it() {
    history("Figure 8 (e): an entry of the leader's own term").run(|cluster| {
        let parts = figure_8_up_to_c(cluster);
        cluster.expect_agreement(3);
        figure_8_s5_is_back(cluster, &parts);
    });
}

// ---- others ----

/// A leads, and one other has its entries; B leads and overwrites them; when A leads again, it has forgotten what it knew of the
/// others' logs, and what it once promised (Raft 5.3, Figure 2: reinitialized after election).
#[test]
fn a_leader_that_leads_again_begins_anew() {
    history("leadership from A to B to A").run(|cluster| {
        cluster.expect_agreement(5);
        let a = leader_whose_tail_one_other_has(cluster, 8);
        cluster.expect_agreement(3);
        all_agree(cluster);
        // One entry that A has, and two others lack.
        let others = all_but(cluster, &[a]);
        cluster.disconnect_each(&others[..2]);
        cluster.expect_agreement(3);
        cluster.expect_the_first_to_win([a, others[0], others[1]]);
        cluster.expect_agreement(3);
        all_agree(cluster);
    });
}

/// What was committed before the leader changed is applied by who was away, once it is back: the new
/// leader tells it what is committed, and waits for no command of its own term (Raft 5.3, AppendEntries
/// rule 5; only a leader's counting is held to its own term, 5.4.2).
#[test]
fn who_was_away_learns_what_an_earlier_leader_committed() {
    history("an idle leader and who was away").run(|cluster| {
        cluster.expect_agreement(5);
        let away = some_follower(cluster);
        cluster.disconnect(away);
        let last = cluster.expect_agreement(4);
        change_the_leader(cluster);
        cluster.expect_settled_leader();
        cluster.connect(away);
        cluster.expect_applied(last, 5);
    });
}

/// Two of four servers elect nobody and commit nothing: half is no majority (Raft 5.2, 5.3).
#[test]
fn half_of_four_decides_nothing() {
    history("two of four servers").servers(4).run(|cluster| {
        cluster.expect_agreement(4);
        let leader = cluster.expect_settled_leader();
        let [near, far, farther] = [1, 2, 3].map(|steps| cluster.after(leader, steps));
        cluster.disconnect_each(&[far, farther]);
        let uncommitted = cluster.propose(leader);
        cluster.sleep(Duration::from_secs(1));
        if let Some(uncommitted) = uncommitted {
            cluster.expect_nothing_at(uncommitted.index);
        }
        cluster.disconnect_each(&[leader, near]);
        cluster.connect_each(&[far, farther]);
        cluster.sleep(Duration::from_secs(4));
        cluster.expect_no_leader();
        all_agree(cluster);
    });
}

/// A follower with a long tail that nobody knows hears heartbeats of a new leader which has nothing to
/// send: what they say is committed is not what stands in that tail (Raft 5.3, AppendEntries rule 5).
#[test]
fn heartbeats_commit_nothing_of_a_stale_tail() {
    history("a long stale tail and an idle leader").run(|cluster| {
        cluster.expect_agreement(5);
        let stale = leader_with_a_tail(cluster, 30);
        four_agree(cluster, 10);
        cluster.expect_settled_leader();
        cluster.connect(stale);
        cluster.sleep(Duration::from_secs(2));
        all_agree(cluster);
    });
}

/// A log of which each entry is of another term is repaired like any other (Raft 5.3).
#[test]
fn terms_of_one_entry_each_are_repaired() {
    history("terms of one entry each").time_limit(Duration::from_mins(8)).run(|cluster| {
        cluster.expect_agreement(5);
        let follower = terms_of_its_own(cluster, 8, 1);
        cluster.connect_each(&all_but(cluster, &[follower]));
        four_agree(cluster, 12);
        all_agree(cluster);
    });
}

/// A server that led before, and has what the others lack, is elected, since nobody else can be; and what
/// only it had is not lost if it was committed (Raft 5.4.1).
#[test]
fn who_led_before_is_the_only_one_that_can_win() {
    history("the only server that can win led before").run(|cluster| {
        cluster.expect_agreement(5);
        let mut servers: Vec<ServerId> = cluster.servers().collect();
        servers.shuffle(&mut cluster.dice("who lacks it"));
        let (lacking, having) = servers.split_at(2);
        // Committed, on three; two of them are gone afterwards, and the one that leads starts again.
        cluster.disconnect_each(lacking);
        cluster.expect_agreement(3);
        let leader = cluster.expect_settled_leader();
        cluster.disconnect_each(having);
        cluster.crash(leader);
        cluster.restart(leader);
        cluster.expect_the_first_to_win([leader, lacking[0], lacking[1]]);
        cluster.expect_agreement(3);
        all_agree(cluster);
    });
}

/// A follower that was away for many compactions gets a snapshot of a megabyte over a slow link, while
/// commands go on, and compactions with them: when its answer arrives, the leader has a newer snapshot. It is
/// an answer all the same (Raft 7).
#[test]
fn a_large_snapshot_over_slow_links() {
    const COMMAND: usize = 40_000;
    let lab = lab("torture", "a snapshot of a megabyte over slow links", 0).snapshots();
    lab.run(|cluster| {
        cluster.expect_agreement(3);
        cluster.set_conditions(Conditions::reliable().with_slow_links(Duration::from_micros(60)));
        let away = some_follower(cluster);
        cluster.disconnect(away);
        let mut last = LogIndex(0);
        for _ in 0..35 {
            last = cluster.expect_agreement_on(&cluster.command_of(COMMAND), 2, PATIENCE);
        }
        cluster.connect(away);
        let mut overtaken = 0;
        for _ in 0..4 {
            let before = newest_snapshot(cluster);
            for _ in 0..12 {
                last = cluster.expect_agreement_on(&cluster.command(), 2, PATIENCE).max(last);
            }
            overtaken += u32::from(newest_snapshot(cluster) > before);
            cluster.sleep(Duration::from_millis(60));
        }
        cluster.relies_on(overtaken > 1, "snapshots are taken during the transfer");
        cluster.expect_applied(last, 3);
        cluster.relies_on(newest_snapshot(cluster) > 1_000_000, "a snapshot has a megabyte");
    });
}

/// The largest snapshot that anybody holds, in bytes.
fn newest_snapshot(cluster: &Cluster) -> usize {
    let sizes = cluster.servers().map(|server| cluster.persister(server).snapshot_size());
    sizes.max().unwrap_or_default()
}

/// Elections included.
const PATIENCE: Duration = Duration::from_secs(20);
