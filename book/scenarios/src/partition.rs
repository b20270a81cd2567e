//! The network is parted, the majority goes on, and it heals (Raft 5.3, 5.4).

use raftapi::ServerId;
use timeline::Run;
use timeline::model::Role;

use crate::figure::{Window, lanes, logs};
use crate::scenario::{
    Drawn, Figure, Scenario, all_who_took, calls, lab, log, moment, must, servers, when,
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "partition", seed: 3, play, draw };

const S0: ServerId = ServerId(0);
/// Who leads the majority.
const NEW: usize = 2;

/// S0 leads, and finds itself in the smaller part.
fn play() {
    lab("a partition, and its healing").servers(5).run(|cluster| {
        let old = cluster.expect_settled_leader();
        cluster.relies_on(old == S0, "S0 leads");
        cluster.expect_agreement(5);
        cluster.sleep(labtester::expect::ELECTION_TIMEOUT / 5);

        cluster.partition(|server| usize::from(server.0 > 1));
        for _ in 0..2 {
            cluster.expect_accepted(S0);
        }
        let new = loop {
            let leader = cluster.expect_one_leader();
            if leader != S0 {
                break leader;
            }
        };
        for _ in 0..3 {
            cluster.expect_accepted(new);
        }
        cluster.sleep(labtester::expect::ELECTION_TIMEOUT / 5);
        moment(cluster, "a");

        cluster.heal();
        tracing::info!(target: "moment", "healed");
        cluster.sleep(labtester::expect::ELECTION_TIMEOUT / 5);
        moment(cluster, "b");
    });
}

fn draw(run: &Run) -> Drawn {
    let led: Vec<_> = all_who_took(run, Role::Leader);
    must(led.iter().map(|taken| taken.term).eq([1, 2]), "two leaders")?;
    must(led.iter().map(|taken| taken.server).eq([0, NEW]), "S0 leads T1, and S2 T2")?;
    let [a, healed, b] = [when(run, "a")?, when(run, "healed")?, when(run, "b")?];
    let parted = servers(run, a);
    must(log(&parted[0]) == [1, 1, 1] && log(&parted[1]) == [1, 1, 1], "S0 and S1 have T1's")?;
    must((2..5).all(|n| log(&parted[n]) == [1, 2, 2, 2]), "the others have T2's")?;
    must(parted[0].memory.commit == 1 && parted[NEW].memory.commit == 4, "one side commits")?;
    must(parted[0].memory.role == Role::Leader, "S0 still believes that it leads")?;
    let whole = servers(run, b);
    must(whole.iter().all(|server| log(server) == [1, 2, 2, 2]), "in the end all logs are equal")?;
    must(whole.iter().all(|server| server.memory.term == 2), "all are in T2")?;

    // The old leader's end, and then the heartbeat of the new one that mends the logs.
    let resigned = all_who_took(run, Role::Follower).into_iter();
    let mut resigned = resigned.filter(|taken| taken.server == 0 && taken.then.at > healed.at);
    let ended = resigned.next().ok_or("S0 resigns")?.then.at;
    let heartbeat =
        calls(run, "AppendEntries", healed.at, b.at).find(|call| call.from == NEW && call.to == 0);
    let heartbeat = heartbeat.ok_or("the new leader reaches S0")?.request.sent;
    let windows = [
        Window { from: ended.min(heartbeat) - 900, to: ended.min(heartbeat) + 400 },
        Window { from: ended.max(heartbeat) - 300, to: ended.max(heartbeat) + 1_000 },
    ];
    Ok(vec![
        Figure { name: "a", svg: logs(run, a) },
        Figure { name: "healing", svg: lanes(run, &windows) },
        Figure { name: "b", svg: logs(run, b) },
    ])
}
