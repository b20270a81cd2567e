//! Part 3B: the replicated log (Raft 5.3, 5.4).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use labrpc::{Conditions, DelayRange, NetEventKind};
use labrt::{channel, sim, thread};
use labsystem::lab;
use labtester::expect::{AGREEMENT, COMMIT, ELECTION_TIMEOUT};
use labtester::{Cluster, Failure};
use raftapi::{EntryId, LogIndex, ServerId};
use rand::RngExt as _;

/// Commands are applied by every server, at indexes 1, 2, 3; and one round trip is enough, without
/// waiting for a heartbeat.
#[test]
fn basic_agree() {
    lab("3B", "basic agreement", 3).run(|cluster| {
        for n in 1..=3 {
            let index = LogIndex(n);
            cluster.expect_nothing_at(index);
            let agreed = cluster.expect_agreement_at_once(3);
            cluster.expect_index(agreed, index);
        }

        let leader = cluster.expect_one_leader();
        let mut dice = cluster.dice("pauses");
        let mut total = Duration::ZERO;
        for _ in 0..COMMANDS {
            // So that it falls anywhere between two heartbeats.
            cluster.sleep(Duration::from_millis(dice.random_range(20..120)));
            let began = sim::elapsed();
            let id = cluster.expect_accepted(leader);
            cluster.applied_within(id.index, 1, COMMIT);
            total += sim::elapsed().saturating_sub(began);
        }
        let mean = total / COMMANDS;
        // On the wall clock a busy machine takes its time as well.
        let limit = if cluster.time_is_free() { LATENCY } else { 4 * LATENCY };
        cluster.spends("us to agree", micros(mean), micros(limit));
        if mean > limit {
            Failure::budget("agreement is slow")
                .expected(format!(
                    "the leader applies a command {} after start(), on average of {COMMANDS}: a \
                     message takes half a millisecond here (Raft 5.3)",
                    labtester::text::span(limit)
                ))
                .happened(format!("it took {} ms", mean.as_millis()))
                .look_at("what start() wakes; what a new entry waits for before it is sent")
                .raise();
        }

        steady_stream(cluster);
    });
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

const STREAM: u32 = 100;
const DELAY: Duration = Duration::from_millis(20);

/// Commands that come while others are under way need no more than the rest of one round trip and
/// another: none is left out when the answer to the earlier ones arrives.
fn steady_stream(cluster: &Cluster) {
    let delay = DelayRange { min: DELAY, max: DELAY };
    cluster.set_conditions(Conditions { delay, ..Conditions::reliable() });
    let mean = cluster.in_one_term("a hundred commands are applied", stream);
    let limit = 2 * (2 * DELAY);
    cluster.spends("us to agree in a stream", micros(mean), micros(limit));
    if mean > limit {
        Failure::budget("agreement is slow when there is much to do")
            .expected(format!(
                "the leader applies a command {} after start(), on average of {STREAM} one after the \
                 other: a round trip takes half of that here (Raft 5.3)",
                labtester::text::span(limit)
            ))
            .happened(format!("it took {} ms", mean.as_millis()))
            .look_at("what is sent when an answer arrives: everything from nextIndex on, also what was started meanwhile")
            .raise();
    }
}

/// How long a command takes, on average of many one after the other. `None` if the leader changed
/// meanwhile.
fn stream(cluster: &Cluster) -> Option<Duration> {
    let leader = cluster.expect_settled_leader();
    let term = cluster.newest_term();
    cluster.sleep(ELECTION_TIMEOUT / 5);
    let mut started = Vec::new();
    for _ in 0..STREAM {
        cluster.sleep(Duration::from_millis(3));
        let accepted = cluster.expect_accepted_in(term, leader)?;
        started.push((accepted.index, sim::elapsed()));
    }
    let mut total = Duration::ZERO;
    for (index, began) in started {
        cluster.applied_within(index, 1, COMMIT);
        let first = cluster.checker().ask(|history| history.applied.first(index));
        total += first.map_or(COMMIT, |(_, applied)| applied.saturating_sub(began));
    }
    (cluster.newest_term() == term).then_some(total / STREAM)
}

const COMMANDS: u32 = 20;
/// A round trip takes 1 ms at most; the rest is for servers that collect commands for a while.
const LATENCY: Duration = Duration::from_millis(15);

/// Each command crosses the network once for each follower.
#[test]
fn rpc_bytes() {
    lab("3B", "byte count of RPCs", 2).run(|cluster| {
        const SIZE: u64 = 5000;
        const COMMANDS: u64 = 10;
        cluster.expect_agreement_at_once(3);
        let before = cluster.stats().bytes;
        for n in 0..COMMANDS {
            let command = cluster.command_of(usize::try_from(SIZE).expect("it is small"));
            let index = cluster.expect_agreement_at_once_on(&command, 3);
            cluster.expect_index(index, LogIndex(n + 2));
        }
        let spent = cluster.stats().bytes - before;
        cluster.expect_at_most(
            "bytes",
            spent,
            3 * SIZE * COMMANDS,
            "ten commands of 5000 bytes go to two followers once each, and half of that again is margin",
            "which entries an AppendEntries carries, and when they are sent again",
        );

        // A new leader begins where the followers are, also one that has led before.
        for _ in 0..4 {
            for _ in 0..COMMANDS {
                let command = cluster.command_of(usize::try_from(SIZE).expect("it is small"));
                cluster.expect_agreement_on(&command, 3, AGREEMENT);
            }
            let old = cluster.expect_settled_leader();
            let before = cluster.stats().bytes;
            cluster.disconnect(old);
            cluster.expect_one_leader();
            cluster.connect(old);
            cluster.sleep(ELECTION_TIMEOUT);
            cluster.expect_at_most(
                "bytes for a change of leaders",
                cluster.stats().bytes - before,
                3 * SIZE,
                "all servers have all entries, so votes and heartbeats are enough",
                "where a new leader begins to send (nextIndex), also if it leads again",
            );
        }

        let burst = cluster.in_one_term("a hundred commands are applied that came at once", burst);
        cluster.expect_at_most(
            &format!("bytes to one follower for {BURST} commands at once"),
            burst.into_iter().max().unwrap_or_default(),
            BURST_LIMIT,
            "each of a hundred commands of 1000 bytes goes to each follower once, which is 100 kB; sent again with each start() until it is acknowledged, it is 5.2 MB",
            "what start() sends: not again what is on its way already",
        );
    });
}

const BURST: u64 = 100;
/// A leader with a task that sends whatever is not acknowledged needs up to 4.7 MB, if that task runs often.
const BURST_LIMIT: u64 = 5_000_000;

/// A hundred commands that a leader takes at one instant, when a round trip takes 40 ms: how many bytes of
/// requests it has sent to each follower when all have applied them. `None` if the leader changed meanwhile.
fn burst(cluster: &Cluster) -> Option<Vec<u64>> {
    let delay = DelayRange { min: DELAY, max: DELAY };
    cluster.set_conditions(Conditions { delay, ..Conditions::reliable() });
    let leader = cluster.expect_settled_leader();
    let term = cluster.newest_term();
    let bytes = || {
        let followers = cluster.servers().filter(|server| *server != leader);
        followers.map(|to| cluster.bytes_sent(leader, to)).collect::<Vec<_>>()
    };
    let before = bytes();
    let mut last = None;
    for _ in 0..BURST {
        last = Some(cluster.start(leader, &cluster.command_of(1000))?);
    }
    cluster.expect_applied_in(term, last?.index, 3)?;
    let spent = bytes().into_iter().zip(before).map(|(after, before)| after - before);
    (cluster.newest_term() == term).then(|| spent.collect())
}

/// A leader goes on with one follower of two, but commits nothing alone.
#[test]
fn follower_failure() {
    lab("3B", "progressive failure of followers", 3).run(|cluster| {
        cluster.expect_agreement_at_once(3);

        let leader = cluster.expect_one_leader();
        cluster.disconnect(cluster.after(leader, 1));
        cluster.expect_agreement_at_once(2);
        cluster.sleep(ELECTION_TIMEOUT);
        cluster.expect_agreement_at_once(2);

        let leader = cluster.expect_one_leader();
        cluster.disconnect(cluster.after(leader, 1));
        cluster.disconnect(cluster.after(leader, 2));
        let lost = cluster.expect_accepted(leader);
        cluster.expect_index(lost.index, LogIndex(4));
        cluster.sleep(2 * ELECTION_TIMEOUT);
        cluster.expect_nothing_at(lost.index);
    });
}

/// Two followers replace their leader and go on; the last one left commits nothing.
#[test]
fn leader_failure() {
    lab("3B", "failure of leaders", 3).run(|cluster| {
        cluster.expect_agreement_at_once(3);

        cluster.disconnect(cluster.expect_one_leader());
        cluster.expect_agreement_at_once(2);
        cluster.sleep(ELECTION_TIMEOUT);
        cluster.expect_agreement_at_once(2);

        cluster.disconnect(cluster.expect_one_leader());
        cluster.propose_to_all();
        cluster.sleep(2 * ELECTION_TIMEOUT);
        cluster.expect_nothing_at(LogIndex(4));
    });
}

/// A follower that was away catches up.
#[test]
fn fail_agree() {
    lab("3B", "agreement after a follower reconnects", 4).run(|cluster| {
        cluster.expect_agreement_at_once(3);

        let follower = cluster.after(cluster.expect_one_leader(), 1);
        cluster.disconnect(follower);
        cluster.expect_agreement_at_once(2);
        cluster.expect_agreement_at_once(2);
        cluster.sleep(ELECTION_TIMEOUT);
        cluster.expect_agreement_at_once(2);
        cluster.expect_agreement_at_once(2);

        follow_although_nothing_fits(cluster, follower);
        cluster.expect_agreement(3);
        cluster.sleep(ELECTION_TIMEOUT);
        cluster.expect_agreement(3);
    });
}

/// A follower that lacks entries is back, and a new leader does not learn which: all its answers come late. It
/// refuses whatever it is sent, since nothing fits its log, and yet follows. That is checked as always.
fn follow_although_nothing_fits(cluster: &Cluster, follower: ServerId) {
    let others = [1, 2].map(|steps| cluster.after(follower, steps));
    for other in others {
        cluster.delay_replies(follower, other, Some(DelayRange::millis(6000, 7000)));
    }
    cluster.connect(follower);
    cluster.sleep(4 * ELECTION_TIMEOUT);
    for other in others {
        cluster.delay_replies(follower, other, None);
    }
}

/// With three of five away nothing is committed; what the leader took in meanwhile may be kept or
/// lost when they return.
#[test]
fn fail_no_agree() {
    lab("3B", "no agreement if too many followers disconnect", 4).servers(5).run(|cluster| {
        cluster.expect_agreement_at_once(5);

        let leader = cluster.expect_one_leader();
        for n in 1..=3 {
            cluster.disconnect(cluster.after(leader, n));
        }
        let alone = cluster.expect_accepted(leader);
        cluster.expect_index(alone.index, LogIndex(2));
        cluster.sleep(2 * ELECTION_TIMEOUT);
        cluster.expect_nothing_at(alone.index);

        for n in 1..=3 {
            cluster.connect(cluster.after(leader, n));
        }
        // The disconnected majority may have chosen a leader among themselves, and forgotten i2.
        let leader = cluster.expect_settled_leader();
        let next = cluster.expect_accepted(leader);
        if next.index != LogIndex(3) {
            cluster.expect_index(next.index, LogIndex(2));
        }
        cluster.expect_agreement(5);

        if cluster.time_is_free() {
            for _ in 0..12 {
                only_one_can_win(cluster);
            }
        }
    });
}

/// Of the three servers that are left only one has all that is committed. The others campaign in
/// vain, again and again, but may not keep it from doing so.
fn only_one_can_win(cluster: &Cluster) {
    let leader = cluster.expect_one_leader();
    let [_newest, other, stale, staler] = [1, 2, 3, 4].map(|n| cluster.after(leader, n));
    cluster.disconnect_each(&[stale, staler]);
    cluster.expect_agreement(3);

    cluster.disconnect_each(&[leader, other]);
    cluster.connect_each(&[stale, staler]);
    cluster.expect_one_leader();

    cluster.connect_each(&[leader, other]);
    cluster.expect_agreement(5);
}

/// Commands that are given to the leader at the same time all get their own index.
#[test]
fn concurrent_starts() {
    lab("3B", "concurrent calls of start()", 3).run(|cluster| {
        cluster.in_one_term("six commands are applied that came at once", start_concurrently);
        if cluster.time_is_free() {
            for _ in 0..DEPOSITIONS {
                start_while_deposed(cluster);
            }
        }
    });
}

const DEPOSITIONS: u32 = 8;

/// A leader is deposed while clients call `start()`, at the very instant: some of these calls have looked
/// whether it leads, and some have taken the command in, when it learns of a newer term. So they begin when
/// the message is sent that says so, and go on until it has arrived. What they return is checked, as always;
/// and what they took in must not get into the newer term.
fn start_while_deposed(cluster: &Cluster) {
    let old = cluster.expect_settled_leader();
    cluster.disconnect(old);
    cluster.expect_settled_leader();
    let delay = DelayRange::micros(50, 50);
    cluster.set_conditions(Conditions { delay, ..Conditions::reliable() });
    let (bell, rings) = channel::unbounded();
    let rung = AtomicBool::new(false);
    cluster.network().observe(move |event| {
        let name = old.to_string();
        let is_told = match event.kind {
            NetEventKind::RequestSent => event.to == name,
            NetEventKind::ReplySent => event.from == name,
            _ => false,
        };
        if is_told && !rung.swap(true, Ordering::Relaxed) {
            for _ in 0..CLIENTS {
                let _ = bell.send(());
            }
        }
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (cluster, rings) = (cluster.clone(), rings.clone());
            thread::spawn(move || {
                let _ = rings.recv_timeout(ELECTION_TIMEOUT);
                for _ in 0..CALLS {
                    cluster.propose(old);
                }
            })
        })
        .collect();
    cluster.connect(old);
    for client in clients {
        client.join().expect("a client that fails ends the run");
    }
    cluster.expect_agreement(3);
}

const CLIENTS: usize = 6;
const CALLS: usize = 10;

/// `None` if the leader changed meanwhile.
fn start_concurrently(cluster: &Cluster) -> Option<()> {
    let leader = cluster.expect_one_leader();
    let first = cluster.propose(leader)?;
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let cluster = cluster.clone();
            thread::spawn(move || {
                let command = cluster.command();
                cluster.start(leader, &command).map(|id| (id, command))
            })
        })
        .collect();
    let started: Vec<_> =
        clients.into_iter().filter_map(|client| client.join().ok().flatten()).collect();
    if started.iter().any(|(id, _)| id.term != first.term)
        || started.len() < 5
        || cluster.newest_term() > first.term
    {
        return None;
    }
    for (id, command) in started {
        // That the command at the index is this one is checked at every apply.
        let applied = cluster.expect_applied_in(first.term, id.index, 3)?;
        assert_eq!(applied, command, "the checker let another command pass at {}", id.index);
    }
    Some(())
}

/// A leader returns with entries that nobody else has; they give way to those that were committed
/// without it.
#[test]
fn rejoin() {
    lab("3B", "rejoin of a partitioned leader", 4).run(|cluster| {
        cluster.expect_agreement(3);

        let first = cluster.expect_one_leader();
        cluster.disconnect(first);
        for _ in 0..3 {
            cluster.propose(first);
        }
        cluster.expect_agreement(2);

        let second = cluster.expect_one_leader();
        cluster.disconnect(second);
        cluster.connect(first);
        cluster.expect_agreement(2);

        cluster.connect(second);
        cluster.expect_agreement(3);

        a_long_stale_tail(cluster);
    });
}

/// A leader returns with a long tail that nobody else has, and hears heartbeats of a new leader which has
/// nothing to send: what they say is committed is not what stands in that tail (Figure 2, AppendEntries
/// rule 5: the lower of leaderCommit and the last *new* entry).
fn a_long_stale_tail(cluster: &Cluster) {
    let stale = cluster.expect_settled_leader();
    cluster.disconnect(stale);
    for _ in 0..30 {
        cluster.propose(stale);
    }
    for _ in 0..10 {
        cluster.expect_agreement(2);
    }
    // Until a leader takes it to be down, if it does that, and sends it heartbeats only.
    cluster.sleep(2 * ELECTION_TIMEOUT);
    cluster.connect(stale);
    cluster.sleep(2 * ELECTION_TIMEOUT);
    cluster.expect_agreement(3);
}

/// Followers whose logs went other ways for fifty entries are brought back in a few rounds.
#[test]
fn backup() {
    lab("3B", "leader backs up quickly over incorrect follower logs", 5).servers(5).run(
        |cluster| {
            let fifty = |server: ServerId| {
                for _ in 0..50 {
                    cluster.propose(server);
                }
            };
            let fifty_agreed = || {
                for _ in 0..50 {
                    cluster.expect_agreement(3);
                }
            };
            cluster.expect_agreement(5);

            // The leader and one follower take in what no majority has.
            let leader = cluster.expect_one_leader();
            let follower = cluster.after(leader, 1);
            let others = [2, 3, 4].map(|n| cluster.after(leader, n));
            cluster.disconnect_each(&others);
            fifty(leader);
            cluster.sleep(ELECTION_TIMEOUT / 2);

            // The other three go on without them.
            cluster.disconnect(leader);
            cluster.disconnect(follower);
            cluster.connect_each(&others);
            fifty_agreed();

            // Of these, two take in what is lost again.
            let second = cluster.expect_one_leader();
            let away = if others[0] == second { cluster.after(second, 1) } else { others[0] };
            cluster.disconnect(away);
            fifty(second);
            cluster.sleep(ELECTION_TIMEOUT / 2);

            // Now the first leader's log meets that of the one who was away.
            cluster.disconnect_all();
            cluster.connect_each(&[leader, follower, away]);
            fifty_agreed();

            cluster.connect_all();
            cluster.expect_agreement(5);

            late_answers(cluster);
        },
    );
}

/// What a follower answered when it lagged arrives when it has caught up. It changes nothing then:
/// nothing is sent a second time.
fn late_answers(cluster: &Cluster) {
    // The follower misses some entries, and comes back to a leader who does not know it.
    let leader = cluster.expect_one_leader();
    let follower = cluster.after(leader, 1);
    cluster.disconnect(follower);
    for _ in 0..10 {
        cluster.expect_agreement(4);
    }
    cluster.disconnect(leader);
    let second = cluster.expect_one_leader();
    cluster.connect(leader);
    cluster.hold_back_replies(follower, second, true);
    cluster.connect(follower);
    cluster.sleep(ELECTION_TIMEOUT);
    cluster.hold_back_replies(follower, second, false);

    for _ in 0..20 {
        cluster.expect_agreement_on(&cluster.command_of(5000), 5, AGREEMENT);
    }
    cluster.expect_silence(
        3 * ELECTION_TIMEOUT,
        "what an old reply does to nextIndex and matchIndex, a success as well as a refusal",
    );
}

/// Elections, commands, silence, and a follower that is away cost only the requests they need.
#[test]
fn count() {
    lab("3B", "RPC counts are not too high", 4).run(|cluster| {
        cluster.expect_one_leader();
        cluster.expect_at_most(
            "requests before the first command",
            cluster.requests_served(),
            // The original's. It may have led for half a second: 25 heartbeats a second are 28 requests.
            30,
            "an election takes two or four, and a leader at most some tens a second",
            "how many requests an election sends, and how often a leader sends heartbeats",
        );

        cluster.in_one_term("twelve commands are agreed on", count_commands);
        cluster.expect_idle(Duration::from_secs(1));

        let leader = cluster.expect_settled_leader();
        let follower = cluster.after(leader, 1);
        cluster.disconnect(follower);
        for _ in 0..5 {
            cluster.expect_agreement(2);
        }
        cluster.sleep(5 * ELECTION_TIMEOUT);
        let before = cluster.stats().requests;
        cluster.sleep(2 * ELECTION_TIMEOUT);
        cluster.expect_at_most(
            "requests sent in 2 s with a follower away",
            cluster.stats().requests - before,
            150,
            "a leader sends each follower 30 requests a second at most, also to one that does not \
             answer, and that one asks for votes now and then",
            "whether calls that fail are repeated, and by how many tasks",
        );

        cluster.connect(follower);
        cluster.expect_agreement(3);
        cluster.expect_idle(Duration::from_secs(1));
    });
}

/// Twelve commands one after the other, none waited for. `None` if the leader changed meanwhile.
fn count_commands(cluster: &Cluster) -> Option<()> {
    const COMMANDS: u64 = 12;
    let leader = cluster.expect_one_leader();
    // What is sent first arrives first: who sends without waiting is not refused.
    let even = DelayRange::micros(300, 300);
    cluster.set_conditions(Conditions { delay: even, ..Conditions::reliable() });
    let before = cluster.requests_served();
    let started: Vec<EntryId> =
        (0..COMMANDS).map(|_| cluster.propose(leader)).collect::<Option<_>>()?;
    let first = started[0];
    for (id, n) in started.iter().zip(first.index.0..) {
        if id.term != first.term {
            return None;
        }
        cluster.expect_index(id.index, LogIndex(n));
    }
    for id in &started {
        cluster.expect_applied_in(first.term, id.index, 3)?;
    }
    let spent = cluster.requests_served() - before;
    if cluster.newest_term() > first.term {
        return None;
    }
    cluster.expect_at_most(
        "requests for 12 commands",
        spent,
        // The original's number: who pipelines sends a few more than who batches.
        3 * (COMMANDS + 2),
        "each command goes to two followers, and half of that again is for heartbeats",
        "how many requests one command causes, and what is sent again although it has arrived",
    );
    Some(())
}
