//! What a run really met: how often it came to each situation. A campaign that never crashes anybody
//! in the middle of a snapshot has not tested that, whatever its environment promised. Records carry
//! it, and `grade sweep` adds it up.

use raftapi::harness::Disk as _;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::{Cluster, ServiceKind};

/// A situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Met {
    /// A server was seen to lead a term.
    Leaders,
    /// A term that was over without anybody having led it: a split vote, or a candidate alone.
    TermsWithoutLeader,
    /// A server's log lost one entry that conflicted with its leader's.
    ConflictsOfOne,
    /// It lost two to nine.
    ConflictsOfFew,
    /// It lost ten or more.
    ConflictsOfMany,
    /// A service was handed a snapshot.
    SnapshotsInstalled,
    /// A service took a snapshot; in Lab 4, snapshots saved, those of others included.
    SnapshotsTaken,
    /// A server crashed at any moment.
    CrashesAnyTime,
    /// Right after a save.
    CrashesAtSave,
    /// Right after a send.
    CrashesAtSend,
    /// When its reply was delivered.
    CrashesAtReply,
    /// When its first reply in a term was: as a rule, a vote.
    CrashesAtVote,
    /// At one of its first replies after it was away, when all else was calm.
    CrashesComingBack,
    /// With a command in hand.
    CrashesAtApply,
    /// With a snapshot in hand.
    CrashesAtInstall,
    /// Right after the first apply of an entry.
    CrashesAtFirstApply,
    /// While it waited for a slow disk, with nothing saved.
    CrashesInSave,
    /// The leader, when another server had a snapshot in hand.
    LeadersCrashAtInstall,
    /// A server started again.
    Restarts,
    /// The network was parted.
    Partitions,
    /// The leader was in the smaller part.
    LeadersCutOff,
    /// Whoever applied a command first was cut off at once.
    LeadersCutOffAtApply,
    /// A link or several worked one way only.
    OneWay,
    /// A server's links went down and up.
    Flaps,
    /// A server stood still.
    Pauses,
    /// A save was slow.
    SlowSaves,
    /// A save waited for the disk, while the server's other tasks went on.
    SlowDisk,
    /// A service stalled.
    Stalls,
    /// A service called `get_state()` and `start()` when it had applied a command.
    CallsBack,
    /// A service needed its time for an entry.
    SlowApplies,
    /// Commands that a server took in.
    CommandsTaken,
    /// Entries applied.
    Applied,
    /// Commands that a server took in and nobody applied.
    CommandsLost,
    /// Operations of clients.
    Operations,
    /// Requests of clients beyond one for each operation.
    Retries,
    /// Requests delivered twice.
    Duplicates,
    /// Requests that arrived when nobody waited for the answer any more.
    LateRequests,
    /// Replies that arrived after they were held back.
    LateReplies,
    /// A majority was started from copies of its disks.
    DiskTrials,
    /// Such a majority elected nobody in its time.
    DiskTrialsUndecided,
}

const ALL: [(Met, &str); 40] = [
    (Met::Leaders, "leaders"),
    (Met::TermsWithoutLeader, "terms-without-leader"),
    (Met::ConflictsOfOne, "conflicts-of-1"),
    (Met::ConflictsOfFew, "conflicts-of-2-to-9"),
    (Met::ConflictsOfMany, "conflicts-of-10-or-more"),
    (Met::SnapshotsInstalled, "snapshots-installed"),
    (Met::SnapshotsTaken, "snapshots-taken"),
    (Met::CrashesAnyTime, "crashes-any-time"),
    (Met::CrashesAtSave, "crashes-at-save"),
    (Met::CrashesAtSend, "crashes-at-send"),
    (Met::CrashesAtReply, "crashes-at-reply"),
    (Met::CrashesAtVote, "crashes-at-vote"),
    (Met::CrashesComingBack, "crashes-coming-back"),
    (Met::CrashesAtApply, "crashes-at-apply"),
    (Met::CrashesAtInstall, "crashes-at-install"),
    (Met::CrashesAtFirstApply, "crashes-at-first-apply"),
    (Met::CrashesInSave, "crashes-in-save"),
    (Met::LeadersCrashAtInstall, "leaders-crash-at-install"),
    (Met::Restarts, "restarts"),
    (Met::Partitions, "partitions"),
    (Met::LeadersCutOff, "leaders-cut-off"),
    (Met::LeadersCutOffAtApply, "leaders-cut-off-at-first-apply"),
    (Met::OneWay, "one-way"),
    (Met::Flaps, "flaps"),
    (Met::Pauses, "pauses"),
    (Met::SlowSaves, "slow-saves"),
    (Met::SlowDisk, "saves-on-a-slow-disk"),
    (Met::Stalls, "stalls"),
    (Met::CallsBack, "calls-back"),
    (Met::SlowApplies, "slow-applies"),
    (Met::CommandsTaken, "commands-taken"),
    (Met::Applied, "applied"),
    (Met::CommandsLost, "commands-lost"),
    (Met::Operations, "operations"),
    (Met::Retries, "retries"),
    (Met::Duplicates, "duplicates"),
    (Met::LateRequests, "late-requests"),
    (Met::LateReplies, "late-replies"),
    (Met::DiskTrials, "disk-trials"),
    (Met::DiskTrialsUndecided, "disk-trials-undecided"),
];

/// Each situation finds its counter by its place.
const _: () = {
    let mut place = 0;
    while place < ALL.len() {
        assert!(ALL[place].0 as usize == place, "a situation is not where its counter is");
        place += 1;
    }
};

/// What can be told at the end of every test.
const IN_ANY_TEST: [Met; 6] = [
    Met::Leaders,
    Met::TermsWithoutLeader,
    Met::Restarts,
    Met::Duplicates,
    Met::LateRequests,
    Met::LateReplies,
];

/// How often each situation was met.
#[derive(Debug)]
pub struct Coverage {
    counts: [AtomicU64; ALL.len()],
    /// A bit for each situation that is counted at all: what a story cannot meet, it need not.
    counted: AtomicU64,
}

impl Coverage {
    /// These are counted; none has been met yet.
    #[must_use]
    pub fn of(situations: &[Met]) -> Coverage {
        let counted = situations.iter().fold(0, |bits, what| bits | bit(*what));
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Coverage { counts, counted: AtomicU64::new(counted) }
    }

    /// All are, but for these.
    #[must_use]
    pub fn of_all_but(situations: &[Met]) -> Coverage {
        let coverage = Coverage::of(&ALL.map(|(what, _)| what));
        for what in situations {
            coverage.cannot_count(*what);
        }
        coverage
    }

    /// It turns out that this cannot be counted.
    pub fn cannot_count(&self, what: Met) {
        self.counted.fetch_and(!bit(what), Ordering::Relaxed);
    }

    /// Once more.
    pub fn met(&self, what: Met) {
        self.met_times(what, 1);
    }

    /// So many times more.
    pub fn met_times(&self, what: Met, times: u64) {
        self.counts[what as usize].fetch_add(times, Ordering::Relaxed);
    }

    /// So far.
    #[must_use]
    pub fn count(&self, what: Met) -> u64 {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    /// What the history of the run tells.
    pub(crate) fn count_history(&self, cluster: &Cluster) {
        let (leaders, newest) = cluster.checker().ask(|history| {
            let leaders = history.elections.leaders().len() as u64;
            (leaders, history.elections.newest_term().0)
        });
        self.met_times(Met::Leaders, leaders);
        self.met_times(Met::TermsWithoutLeader, newest.saturating_sub(leaders));
        self.met_times(Met::Restarts, cluster.restarts());
    }

    /// Which messages arrived twice, or late.
    pub(crate) fn count_messages(&self, cluster: &Cluster) {
        let stats = cluster.stats();
        self.met_times(Met::Duplicates, stats.duplicates);
        self.met_times(Met::LateRequests, stats.late_requests);
        self.met_times(Met::LateReplies, stats.late_replies);
    }

    /// What any test meets, and its end can tell.
    pub(crate) fn at_the_end_of(cluster: &Cluster) -> Coverage {
        let in_lab = match cluster.setup().service {
            ServiceKind::Tester { .. } => &[Met::Applied, Met::SnapshotsInstalled],
            ServiceKind::Kv { .. } => &[Met::Operations, Met::SnapshotsTaken],
        };
        let coverage = Coverage::of(&[&IN_ANY_TEST[..], in_lab].concat());
        coverage.count_history(cluster);
        coverage.count_messages(cluster);
        let (applied, installed) = cluster.checker().ask(|history| {
            let installs = |server| history.applied.installs(server);
            (history.applied.highest().0, cluster.servers().map(installs).sum())
        });
        coverage.met_times(Met::Applied, applied);
        coverage.met_times(Met::SnapshotsInstalled, installed);
        coverage.met_times(Met::Operations, cluster.measures().commands.load(Ordering::Relaxed));
        let snapshots = |server| cluster.persister(server).snapshots();
        coverage.met_times(Met::SnapshotsTaken, cluster.servers().map(snapshots).sum());
        coverage
    }

    /// All that are counted, zeros included, by name: for the record of the run.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<String, u64> {
        self.counted().map(|(what, name)| (name.to_owned(), self.count(what))).collect()
    }

    fn counted(&self) -> impl Iterator<Item = (Met, &'static str)> {
        let counted = self.counted.load(Ordering::Relaxed);
        ALL.into_iter().filter(move |(what, _)| counted & bit(*what) != 0)
    }
}

fn bit(what: Met) -> u64 {
    1 << what as u64
}

/// `met leaders=7 terms-without-leader=2 ...`.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("met")?;
        self.counted().try_for_each(|(what, name)| write!(f, " {name}={}", self.count(what)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_is_not_spoken_of() {
        let coverage = Coverage::of(&[Met::Leaders, Met::Retries]);
        coverage.met_times(Met::Leaders, 3);
        coverage.met(Met::Stalls);
        assert_eq!(coverage.to_string(), "met leaders=3 retries=0");
        coverage.cannot_count(Met::Retries);
        assert_eq!(coverage.by_name(), [("leaders".to_owned(), 3)].into());
        let all = Coverage::of_all_but(&[Met::Leaders]).by_name();
        assert_eq!(all.len(), ALL.len() - 1);
    }
}
