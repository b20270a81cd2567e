//! The paper's Figure 8, scene by scene; S1 to S5 of the paper are S0 to S4 here (Raft 5.4.2).
//!
//! It is played by a right Raft. That one does not fall into the trap: in (c) the entry of T2 is on a
//! majority, and is not committed. So what (d) takes away, nobody was promised.

use labtester::Cluster;
use labtester::expect::ELECTION_TIMEOUT;
use raftapi::ServerId;
use timeline::Run;
use timeline::model::Role;

use crate::figure::logs;
use crate::scenario::{
    Drawn, Figure, SETTLED, Scenario, all_who_took, lab, log, moment, must, servers, when,
};

pub(crate) const LOST: Scenario =
    Scenario { name: "figure-8", seed: 225, play: play_lost, draw: draw_lost };
pub(crate) const SAVED: Scenario =
    Scenario { name: "figure-8-e", seed: 225, play: play_saved, draw: draw_saved };

const S0: ServerId = ServerId(0);
const S2: ServerId = ServerId(2);
const S3: ServerId = ServerId(3);
const S4: ServerId = ServerId(4);

/// (a) to (d).
fn play_lost() {
    lab("Figure 8, (a) to (d)").servers(5).run(|cluster| {
        up_to_c(cluster);
        // The entry of T4 stays where it is, and S4 wins once more.
        cluster.crash(S0);
        cluster.restart(S4);
        cluster.connect_each(&[S3, S4]);
        elected(cluster, S4);
        moment(cluster, "d");
    });
}

/// (a) to (c), then (e).
fn play_saved() {
    lab("Figure 8, (a) to (c) and (e)").servers(5).run(|cluster| {
        up_to_c(cluster);
        // The entry of T4 reaches a majority: S4 is back, and cannot win.
        cluster.connect(S0);
        cluster.sleep(ELECTION_TIMEOUT / 5);
        moment(cluster, "e");
        cluster.crash(S0);
        cluster.restart(S4);
        cluster.connect_each(&[S3, S4]);
        let leader = cluster.expect_settled_leader();
        cluster.relies_on(leader != S4, "S4 does not win");
    });
}

fn up_to_c(cluster: &Cluster) {
    // T1: one entry everywhere, and a leader that makes room for S0 in T2.
    let first = cluster.expect_one_leader();
    cluster.relies_on(first != S0, "somebody else leads T1");
    propose(cluster, first);
    cluster.sleep(SETTLED);
    cluster.disconnect(first);
    elected(cluster, S0);
    cluster.connect(first);
    cluster.sleep(ELECTION_TIMEOUT / 5); // a heartbeat

    // (a) The leader of T2 gets an entry to S1 alone.
    cluster.disconnect_each(&[S2, S3, S4]);
    propose(cluster, S0);
    moment(cluster, "a");

    // (b) It is cut off. S4 is elected without it, and takes in another entry for the same index.
    cluster.disconnect(S0);
    cluster.connect_each(&[S2, S3, S4]);
    elected(cluster, S4);
    cluster.disconnect(S4);
    propose(cluster, S4);
    moment(cluster, "b");

    // (c) S0 is back, leads T4, and brings the entry of T2 to a majority. S3 is cut off meanwhile.
    cluster.crash(S4);
    cluster.disconnect(S3);
    cluster.connect(S0);
    elected(cluster, S0);
    cluster.sleep(SETTLED);
    cluster.disconnect(S0);
    propose(cluster, S0);
    moment(cluster, "c");
}

fn propose(cluster: &Cluster, leader: ServerId) {
    cluster.relies_on(cluster.propose(leader).is_some(), "it leads");
}

/// Waits until this server leads; the seed is such that it does.
fn elected(cluster: &Cluster, who: ServerId) {
    let leader = cluster.expect_one_leader();
    cluster.relies_on(leader == who, "the right server leads");
}

fn draw_lost(run: &Run) -> Drawn {
    let mut figures = draw_up_to_c(run)?;
    let at = when(run, "d")?;
    let state = servers(run, at);
    must((1..5).all(|n| log(&state[n]) == [1, 3]), "in (d) the entry of T3 is everywhere")?;
    figures.push(Figure { name: "d", svg: logs(run, at) });
    Ok(figures)
}

fn draw_saved(run: &Run) -> Drawn {
    draw_up_to_c(run)?;
    let at = when(run, "e")?;
    let state = servers(run, at);
    must((0..3).all(|n| log(&state[n]) == [1, 2, 4]), "in (e) the entry of T4 is on a majority")?;
    must(state[0].memory.commit == 3, "and so all is committed")?;
    Ok(vec![Figure { name: "", svg: logs(run, at) }])
}

fn draw_up_to_c(run: &Run) -> Drawn {
    let led: Vec<(usize, u64)> =
        all_who_took(run, Role::Leader).iter().map(|taken| (taken.server, taken.term)).collect();
    must(led.len() >= 4 && led[1..4] == [(0, 2), (4, 3), (0, 4)], "S0 leads T2, S4 T3, S0 T4")?;
    let scenes: [(&'static str, [&[u64]; 5]); 3] = [
        ("a", [&[1, 2], &[1, 2], &[1], &[1], &[1]]),
        ("b", [&[1, 2], &[1, 2], &[1], &[1], &[1, 3]]),
        ("c", [&[1, 2, 4], &[1, 2], &[1, 2], &[1], &[1, 3]]),
    ];
    let mut figures = Vec::new();
    for (name, logs_then) in scenes {
        let at = when(run, name)?;
        let state = servers(run, at);
        must(state.iter().map(log).eq(logs_then), &format!("the logs of ({name})"))?;
        must(
            state.iter().all(|server| server.memory.commit <= 1),
            &format!("in ({name}) only the first entry is committed"),
        )?;
        figures.push(Figure { name, svg: logs(run, at) });
    }
    Ok(figures)
}
