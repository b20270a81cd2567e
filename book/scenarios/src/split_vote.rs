//! Two servers stand in one term, and neither gets a majority (Raft 5.2).

use raftapi::ServerId;
use timeline::Run;
use timeline::model::Role;

use crate::figure::{Window, lanes};
use crate::scenario::{Drawn, Figure, Scenario, all_who_took, lab, must};

pub(crate) const SCENARIO: Scenario = Scenario { name: "split-vote", seed: 412, play, draw };

/// One of five is down, so three of four votes are needed; the rest is chance, that is the seed.
fn play() {
    lab("a split vote").servers(5).run(|cluster| {
        cluster.crash(ServerId(4));
        cluster.expect_settled_leader();
    });
}

fn draw(run: &Run) -> Drawn {
    let stood = all_who_took(run, Role::Candidate);
    let led = all_who_took(run, Role::Leader);
    must(stood.iter().map(|taken| taken.term).eq([1, 1, 2]), "two candidates in T1, one in T2")?;
    must(stood.iter().map(|taken| taken.server).eq([0, 1, 2]), "S0 and S1, then S2")?;
    must(led.len() == 1 && led[0].term == 2, "a leader in T2, and none in T1")?;
    let windows = [
        Window { from: stood[0].then.at - 100, to: stood[1].then.at + 900 },
        Window { from: stood[2].then.at - 100, to: led[0].then.at + 600 },
    ];
    Ok(vec![Figure { name: "", svg: lanes(run, &windows) }])
}
