//! The campaign over Raft.

use labrpc::Conditions;
use labrt::rand::{Rng, seed, stream};
use labrt::sim;
use labrt::time::{self, Duration};
use raftapi::ServerId;
use rand::RngExt as _;

use super::aftermath;
use super::durability::try_disks;
use super::environment::{Environment, RAFT};
use super::storm::Storm;
use crate::cluster::{Cluster, UNRELIABLE};
use crate::coverage::{Coverage, Met};
use crate::expect::PROGRESS;
use crate::log;
use crate::report::Failure;
use crate::text::at;

/// Messages of the time of the faults arrive by then.
pub(super) const OLD_MESSAGES: Duration = Duration::from_secs(9);

/// Who is away for the last time misses fewer commands than this: often a snapshot, or some.
const MISSED: u64 = 40;

/// Silence that is looked at.
const SILENCE: Duration = Duration::from_secs(3);

/// Runs it.
pub fn raft(cluster: &Cluster) {
    let environment = Environment::draw(seed(), RAFT);
    announce(cluster, &environment);
    let storm = Storm::gather(cluster, environment.clone());
    if cluster.time_is_free() {
        storm.begin();
        for n in 0..environment.clients {
            storm.start(&format!("client {n}"), client);
        }
        cluster.sleep(environment.length);
    }
    storm.end();
    a_majority_goes_on(cluster);
    somebody_comes_back(cluster, &storm);
    everybody_goes_on(cluster, &environment);
    conclude(cluster, &storm);
    aftermath::expect_an_end(cluster);
}

/// One block, for the log and for the report of a failure.
pub(super) fn announce(cluster: &Cluster, environment: &Environment) {
    tracing::info!(target: log::TEST, "{environment}");
    *cluster.measures().environment.lock() = Some(environment.to_string());
}

/// Gives commands, in bursts, to whoever believes to lead.
fn client(storm: &Storm, dice: &mut Rng) {
    let Environment {
        commands, burst, between_bursts, command_bytes, all_leaders, clients, ..
    } = storm.shared.environment.clone();
    let mut left = commands / clients;
    while left > 0 && storm.sleep(between_bursts.mul_f64(dice.random_range(0.0..2.0))) {
        for _ in 0..burst.min(left) {
            left -= 1;
            let command = if command_bytes == 0 {
                storm.cluster.command()
            } else {
                storm.cluster.command_of(dice.random_range(1..=command_bytes))
            };
            let mut takers = storm.leaders();
            if takers.is_empty() {
                let anybody = ServerId(dice.random_range(0..storm.cluster.len()));
                takers.push((raftapi::Term(0), anybody));
            } else if !all_leaders {
                takers = takers.into_iter().max().into_iter().collect();
            }
            for (_, server) in takers {
                if let Some(_inside) = storm.shared.enter(server) {
                    let taken = storm.cluster.start(server, &command);
                    storm.shared.coverage.met_times(Met::CommandsTaken, u64::from(taken.is_some()));
                }
            }
        }
    }
}

/// The second phase. The others are down, or cut off, or on a network that loses messages.
fn a_majority_goes_on(cluster: &Cluster) {
    let mut dice = cluster.dice("torture/the others");
    cluster.set_conditions(if dice.random_bool(0.5) { UNRELIABLE } else { Conditions::reliable() });
    for server in cluster.servers() {
        match dice.random_range(0..3) {
            0 => cluster.crash(server),
            1 => cluster.disconnect(server),
            _ => {}
        }
    }
    cluster.expect_progress_of_a_majority("torture/majority");
}

/// All are well, but for one, which is away until the others have gone on without it, and crashes again as
/// it comes back: at one of its first answers. Whatever it had just acknowledged, entries or a snapshot, it
/// must still have, or learn of anew from a leader that stays the same.
fn somebody_comes_back(cluster: &Cluster, storm: &Storm) {
    let mut dice = cluster.dice("torture/who comes back");
    cluster.set_conditions(Conditions::reliable());
    for server in cluster.servers() {
        cluster.restart_if_down(server);
        cluster.connect(server);
    }
    let leader = cluster.expect_settled_leader();
    let victim = cluster.after(leader, dice.random_range(1..cluster.len()));
    cluster.disconnect(victim);
    for _ in 0..dice.random_range(1..MISSED) {
        cluster.expect_agreement(cluster.len() - 1);
    }
    storm.strike_at_answer(victim, dice.random_range(1..6));
    cluster.connect(victim);
    cluster.expect_agreement(cluster.len());
}

/// And then all of them: nobody is left behind, no log is longer than it need be, and there is silence
/// when there is nothing to do.
fn everybody_goes_on(cluster: &Cluster, environment: &Environment) {
    cluster.set_conditions(Conditions::reliable());
    for server in cluster.servers() {
        cluster.restart_if_down(server);
        cluster.connect(server);
    }
    let last = cluster.expect_agreement_on(&cluster.command(), cluster.len(), PROGRESS);
    cluster.expect_applied(last, cluster.len());
    time::sleep(OLD_MESSAGES);
    if cluster.time_is_free() {
        cluster.expect_idle(SILENCE);
    }
    expect_short_logs(cluster, environment);
    let last = cluster.checker().ask(|history| {
        let index = history.applied.highest();
        let first = history.applied.first(index)?;
        let id = raftapi::EntryId { term: history.applied.term_at(index)?, index };
        Some((first.0, id, history.applied.at(index)?.clone()))
    });
    if let Some((server, id, command)) = last {
        let dice = stream("torture/disks at the end");
        try_disks(cluster, &Coverage::of(&[]), server, id, Some(&command), dice);
    }
}

/// A server keeps what came after its last snapshot, and perhaps a little before.
fn expect_short_logs(cluster: &Cluster, environment: &Environment) {
    const ENTRY: usize = 100;
    const HEADER: usize = 1000;
    const SPARE: u64 = 20;
    let Some(intervals) = &environment.snapshots else { return };
    for (server, interval) in cluster.servers().zip(intervals) {
        let entries = usize::try_from(2 * interval + SPARE).unwrap_or(usize::MAX);
        let most = HEADER + entries * (ENTRY + environment.command_bytes);
        let found = cluster.persister(server).raft_state_size();
        if found > most && cluster.is_as_told() {
            Failure::budget("a log that snapshots do not shorten")
                .expected(format!(
                    "when all is applied, a server that takes a snapshot every {interval} entries has saved \
                     {most} bytes of Raft state at most (Raft 7)"
                ))
                .happened(format!("{server} has saved {found}, {}", at(sim::elapsed())))
                .look_at("what snapshot() and InstallSnapshot leave of the log")
                .raise();
        }
    }
}

/// What was met, for the record.
pub(super) fn conclude(cluster: &Cluster, storm: &Storm) {
    let coverage = &storm.shared.coverage;
    coverage.count_history(cluster);
    coverage.count_messages(cluster);
    let applied = cluster.checker().ask(|history| history.applied.highest().0);
    let taken = coverage.count(Met::CommandsTaken);
    coverage.met_times(Met::CommandsLost, taken.saturating_sub(applied));
    let note = |text: &str| cluster.measures().notes.lock().push(text.to_owned());
    if !storm.shared.logs_are_shown() {
        for what in [Met::ConflictsOfOne, Met::ConflictsOfFew, Met::ConflictsOfMany] {
            coverage.cannot_count(what);
        }
        note("conflicts of logs could not be counted: Raft::view shows none");
    }
    if coverage.count(Met::DiskTrials) == 0 {
        coverage.cannot_count(Met::DiskTrials);
        coverage.cannot_count(Met::DiskTrialsUndecided);
        note(NOT_TRIED);
    }
    tracing::info!(target: log::TEST, "{coverage}");
}

/// There are two reasons.
const NOT_TRIED: &str = "whether a majority has what was applied on its disks was not tried out: nothing \
    was seen to be applied that the seed chose for it, or time is not virtual";
