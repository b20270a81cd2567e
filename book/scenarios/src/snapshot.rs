//! A snapshot takes the place of a prefix of the log, and is sent to who lacks that (Raft 7, Figure 12).

use raftapi::{LogIndex, ServerId};
use timeline::Run;

use crate::figure::{Window, lanes, logs};
use crate::scenario::{Drawn, Figure, Scenario, calls, lab, log, moment, must, servers, when};

pub(crate) const SCENARIO: Scenario = Scenario { name: "snapshot", seed: 12, play, draw };

const S0: ServerId = ServerId(0);
const S2: ServerId = ServerId(2);

/// The service of S0 takes its first snapshot at index 9, that of S1 at index 6.
fn play() {
    lab("a snapshot covers a prefix").servers(3).snapshots().run(|cluster| {
        let leader = cluster.expect_settled_leader();
        cluster.relies_on(leader == S0, "S0 leads");
        let up_to = |last: u64| loop {
            let id = cluster.expect_accepted(S0);
            cluster.expect_applied(id.index, 2);
            if id.index == LogIndex(last) {
                break;
            }
        };
        up_to(2);
        cluster.sleep(labtester::expect::ELECTION_TIMEOUT / 5);
        cluster.disconnect(S2);
        up_to(8);
        moment(cluster, "a");
        up_to(11);
        moment(cluster, "b");
        cluster.connect(S2);
        cluster.expect_agreement(3);
        moment(cluster, "c");
    });
}

fn draw(run: &Run) -> Drawn {
    let [a, b, c] = [when(run, "a")?, when(run, "b")?, when(run, "c")?];
    let before = servers(run, a);
    must(
        before[0].memory.base.0 == 0 && log(&before[0]).len() == 8,
        "in (a) S0 has all of its log",
    )?;
    must(log(&before[2]).len() == 2, "S2 has the first two entries")?;
    let compacted = servers(run, b);
    must(compacted[0].memory.base == (9, 1), "in (b) S0 has a snapshot up to 9")?;
    let sent: Vec<_> = calls(run, "InstallSnapshot", b.at, c.at).collect();
    must(sent.len() == 1, "the snapshot is sent once")?;
    must(servers(run, c)[2].memory.base == (9, 1), "in (c) S2 has it, too")?;
    let mended = sent[0].reply.as_ref().and_then(|reply| reply.arrived).ok_or("it is answered")?;
    let window = Window { from: sent[0].request.sent - 200, to: mended + 700 };
    Ok(vec![
        Figure { name: "a", svg: logs(run, a) },
        Figure { name: "b", svg: logs(run, b) },
        Figure { name: "sent", svg: lanes(run, &[window]) },
        Figure { name: "c", svg: logs(run, c) },
    ])
}
