//! A new leader meets logs of all sorts, and makes them like its own (Raft 5.3, Figure 7).

use raftapi::ServerId;
use timeline::Run;
use timeline::model::Role;

use crate::figure::{Window, lanes, logs};
use crate::scenario::{
    Drawn, Figure, Scenario, all_who_took, calls, lab, log, moment, must, servers, when,
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "repair", seed: 7, play, draw };

/// Leaders are cut off one after the other, each with commands that nobody else ever sees.
fn play() {
    lab("logs that differ, and their repair").servers(5).run(|cluster| {
        let propose = |leader, times: usize| {
            (0..times)
                .for_each(|_| cluster.relies_on(cluster.propose(leader).is_some(), "it leads"));
        };

        // T1: two commands everywhere, and four that only the leader has.
        let first = cluster.expect_settled_leader();
        propose(first, 2);
        moment(cluster, "all");
        cluster.disconnect(first);
        propose(first, 4);

        // T2: one on four servers, and two that only the leader has.
        let second = cluster.expect_settled_leader();
        propose(second, 1);
        moment(cluster, "four");
        cluster.disconnect(second);
        propose(second, 2);

        // T3: two on three servers, and then two on the leader and one more, while the third is away.
        let third = cluster.expect_settled_leader();
        propose(third, 2);
        moment(cluster, "three");
        let rest: Vec<ServerId> = cluster.connected().into_iter().filter(|s| *s != third).collect();
        cluster.disconnect(rest[0]);
        propose(third, 2);
        moment(cluster, "two");
        cluster.crash(third);

        // T4: only one of those who are left can win.
        cluster.connect_each(&[first, second, rest[0]]);
        cluster.expect_settled_leader();
        moment(cluster, "repaired");
    });
}

fn draw(run: &Run) -> Drawn {
    let led = all_who_took(run, Role::Leader);
    must(led.iter().map(|taken| taken.term).eq(1..=4), "a leader in each of T1 to T4")?;
    must(led.iter().map(|taken| taken.server).eq([3, 4, 1, 2]), "S3, S4, S1, S2")?;
    let (took_office, repaired) = (led[3].then, when(run, "repaired")?);
    let before = servers(run, took_office);
    let log_of = |n: usize| log(&before[led[n].server]);
    must(log_of(3) == [1, 1, 2, 3, 3, 3, 3], "the leader of T4 has all that T3 brought")?;
    must(log_of(0) == [1; 6], "that of T1 has too much")?;
    must(log_of(1) == [1, 1, 2, 2, 2], "that of T2 too, and lacks some")?;
    let after = servers(run, repaired);
    let mut up = after.iter().filter(|server| server.up);
    must(up.all(|server| log(server) == log_of(3)), "all logs are equal in the end")?;

    let mut last = took_office.at;
    for call in calls(run, "AppendEntries", took_office.at, took_office.at + ROUNDS) {
        last = last.max(call.reply.as_ref().and_then(|reply| reply.arrived).unwrap_or(last));
    }
    let window = Window { from: took_office.at - 100, to: last + 100 };
    Ok(vec![
        Figure { name: "a", svg: logs(run, took_office) },
        Figure { name: "calls", svg: lanes(run, &[window]) },
        Figure { name: "b", svg: logs(run, repaired) },
    ])
}

/// Two round trips and a bit, long before the next heartbeat.
const ROUNDS: u64 = 10_000;
