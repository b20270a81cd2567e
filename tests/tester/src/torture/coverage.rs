//! What a run really met: how often it came to each situation. A campaign that never crashes anybody
//! in the middle of a snapshot has not tested that, whatever its environment promised.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Replies held back.
    LateReplies,
    /// A majority was started from copies of its disks.
    DiskTrials,
    /// Such a majority elected nobody in its time.
    DiskTrialsUndecided,
}

const ALL: [(Met, &str); 36] = [
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
    (Met::CrashesAtApply, "crashes-at-apply"),
    (Met::CrashesAtInstall, "crashes-at-install"),
    (Met::CrashesAtFirstApply, "crashes-at-first-apply"),
    (Met::CrashesInSave, "crashes-in-save"),
    (Met::LeadersCrashAtInstall, "leaders-crash-at-install"),
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

/// How often each situation was met.
#[derive(Debug)]
pub struct Coverage {
    counts: [AtomicU64; ALL.len()],
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage { counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Coverage {
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
}

/// `met leaders=7 terms-without-leader=2 ...`, zeros included: a sweep adds these up.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("met")?;
        ALL.iter().try_for_each(|(what, name)| write!(f, " {name}={}", self.count(*what)))
    }
}
