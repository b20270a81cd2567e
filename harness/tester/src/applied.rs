//! The history of what was applied, over the whole run: what must hold in it, and what to say if
//! it does not (Raft 5.3, 5.4, State Machine Safety).
//!
//! Plain data, like [`crate::elections`].

use std::collections::BTreeMap;

use labgob::Bytes;
use labrt::time::Duration;
use raftapi::{EntryId, LogIndex, ServerId, Term};
use serde::{Deserialize, Serialize};

use crate::report::Failure;
use crate::text::{at, command as show};

/// Which commands were given to which servers, and what every server applied.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The first apply of each index: `entries[0]` is index 1.
    entries: Vec<Entry>,
    servers: Vec<Progress>,
    /// What `start` promised: this command, if this entry is ever applied.
    promises: BTreeMap<EntryId, (Bytes, ServerId)>,
    /// Calls of `start` that have not returned.
    in_progress: BTreeMap<Call, Bytes>,
    /// Commands whose `start` was cut short by a crash, so that nobody knows its answer.
    unanswered: Vec<Bytes>,
    /// Applied before the `start` that may explain it has returned.
    unexplained: Vec<(EntryId, ServerId, Duration)>,
    calls: u64,
}

/// One call of `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call(u64);

/// A committed entry, and who showed it first.
#[derive(Debug, Clone)]
struct Entry {
    term: Term,
    command: Bytes,
    by: ServerId,
    first: Duration,
}

/// How far the present incarnation of one server has come.
#[derive(Debug, Clone, Default)]
struct Progress {
    incarnation: u32,
    up: bool,
    /// Last index applied, or included in a snapshot.
    applied: LogIndex,
    /// Highest snapshot that this server's persister was seen to hold.
    snapshot: LogIndex,
    /// Snapshots that arrived through the apply channel, over all incarnations.
    installed: u64,
}

/// What the tester's service puts in a snapshot: all it ever applied, as the original's does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Last index included.
    pub index: LogIndex,
    /// The commands of indexes 1 to `index`.
    pub commands: Vec<Bytes>,
}

impl Applied {
    /// Nothing has been applied yet.
    #[must_use]
    pub fn new(servers: usize) -> Applied {
        Applied {
            entries: Vec::new(),
            servers: vec![Progress::default(); servers],
            promises: BTreeMap::new(),
            in_progress: BTreeMap::new(),
            unanswered: Vec::new(),
            unexplained: Vec::new(),
            calls: 0,
        }
    }

    // ---- start ----

    /// `start` is about to be called with this command.
    pub fn starting(&mut self, command: &Bytes) -> Call {
        self.calls += 1;
        let call = Call(self.calls);
        self.in_progress.insert(call, command.clone());
        call
    }

    /// `start` returned an entry.
    ///
    /// # Errors
    ///
    /// If the entry was promised to another command, or holds another command.
    pub fn accepted(&mut self, call: Call, by: ServerId, id: EntryId) -> Result<(), Failure> {
        let Some(command) = self.in_progress.remove(&call) else { return Ok(()) };
        if let Some((earlier, server)) = self.promises.get(&id) {
            return Err(promised_twice(id, (earlier, *server), (&command, by)));
        }
        if let Some(entry) = self.entry(id.index)
            && entry.term == id.term
            && entry.command != command
        {
            return Err(promise_broken(id, &command, by, entry));
        }
        self.promises.insert(id, (command.clone(), by));
        self.unexplained.retain(|(unexplained, ..)| *unexplained != id);
        self.explain(&command)
    }

    /// `start` refused the command.
    ///
    /// # Errors
    ///
    /// If a server has applied it all the same.
    pub fn refused(&mut self, call: Call) -> Result<(), Failure> {
        let Some(command) = self.in_progress.remove(&call) else { return Ok(()) };
        self.explain(&command)
    }

    /// The server crashed while `start` ran: it may have taken the command in.
    pub fn cut_short(&mut self, call: Call) {
        if let Some(command) = self.in_progress.remove(&call) {
            self.unexplained.retain(|(id, ..)| self.entries[place(id.index)].command != command);
            self.unanswered.push(command);
        }
    }

    /// With one call less in progress, is an entry with this command left that no call explains?
    fn explain(&self, command: &Bytes) -> Result<(), Failure> {
        if self.in_progress.values().any(|other| other == command) {
            return Ok(());
        }
        let left = self
            .unexplained
            .iter()
            .find(|(id, ..)| self.entry(id.index).is_some_and(|entry| entry.command == *command));
        left.map_or(Ok(()), |&(id, by, when)| Err(self.never_accepted(id, command, by, when)))
    }

    // ---- apply ----

    /// A server started from what its persister holds.
    ///
    /// # Errors
    ///
    /// If the snapshot is not one of ours, or an older one than it held before.
    pub fn started(
        &mut self,
        server: ServerId,
        incarnation: u32,
        snapshot: &[u8],
        now: Duration,
    ) -> Result<(), Failure> {
        let index = match snapshot {
            [] => LogIndex(0),
            bytes => self.read_snapshot(server, bytes, now)?.index,
        };
        let progress = &mut self.servers[server.0];
        if index < progress.snapshot {
            return Err(snapshot_lost(server, progress.snapshot, index, now));
        }
        progress.incarnation = incarnation;
        progress.up = true;
        progress.applied = index;
        progress.snapshot = index;
        Ok(())
    }

    /// A server crashed: what it applied is gone with it.
    pub fn crashed(&mut self, server: ServerId) {
        self.servers[server.0].up = false;
    }

    /// A server applied a command.
    ///
    /// # Errors
    ///
    /// If the index is not the next one, if the index holds or held something else on any server,
    /// or if no leader ever took the command in.
    pub fn command(
        &mut self,
        server: ServerId,
        incarnation: u32,
        id: EntryId,
        command: &Bytes,
        now: Duration,
    ) -> Result<(), Failure> {
        let progress = &self.servers[server.0];
        if !progress.up || progress.incarnation != incarnation {
            return Ok(()); // its last words, after the crash
        }
        let applied = progress.applied;
        if id.index != applied.next() {
            return Err(out_of_order(server, applied, id.index, now));
        }
        if applied.0 > 0 && id.term < self.entries[place(applied)].term {
            return Err(older_term(server, self.entries[place(applied)].term, id, now));
        }
        match self.entry(id.index) {
            Some(entry) if entry.command == *command && entry.term == id.term => {}
            Some(entry) => return Err(different(server, entry, id, command, now)),
            None => {
                self.entries.push(Entry {
                    term: id.term,
                    command: command.clone(),
                    by: server,
                    first: now,
                });
                self.account_for(id, command, server, now)?;
            }
        }
        self.servers[server.0].applied = id.index;
        Ok(())
    }

    /// Is this newly committed entry one that some leader took in?
    fn account_for(
        &mut self,
        id: EntryId,
        command: &Bytes,
        by: ServerId,
        now: Duration,
    ) -> Result<(), Failure> {
        match self.promises.get(&id) {
            Some((promised, _)) if promised == command => Ok(()),
            Some((promised, server)) => {
                let entry = Entry { term: id.term, command: command.clone(), by, first: now };
                Err(promise_broken(id, promised, *server, &entry))
            }
            None if self.unanswered.contains(command) => Ok(()),
            None if self.in_progress.values().any(|started| started == command) => {
                self.unexplained.push((id, by, now));
                Ok(())
            }
            None => Err(self.never_accepted(id, command, by, now)),
        }
    }

    /// A server was handed a snapshot through its apply channel. Returns its index.
    ///
    /// # Errors
    ///
    /// If it is not one that the tester's service made, carries another index or term than it
    /// should, or goes back.
    pub fn installed(
        &mut self,
        server: ServerId,
        incarnation: u32,
        id: EntryId,
        data: &[u8],
        now: Duration,
    ) -> Result<(), Failure> {
        let progress = &self.servers[server.0];
        if !progress.up || progress.incarnation != incarnation {
            return Ok(());
        }
        let applied = progress.applied;
        let index = self.read_snapshot(server, data, now)?.index;
        let wrong = if index == id.index {
            self.entry(index)
                .filter(|entry| entry.term != id.term)
                .map(|entry| format!("its last entry is of {}, not {}", entry.term, id.term))
        } else {
            Some(format!("the state in it ends at {index}"))
        };
        if let Some(wrong) = wrong {
            return Err(mislabelled(server, id, &wrong, now));
        }
        if index < applied {
            return Err(out_of_order(server, applied, index, now));
        }
        let progress = &mut self.servers[server.0];
        progress.applied = index;
        progress.installed += 1;
        Ok(())
    }

    /// A server's persister was seen to hold this snapshot.
    ///
    /// # Errors
    ///
    /// If the snapshot is not one that the tester's service made.
    pub fn saved(
        &mut self,
        server: ServerId,
        snapshot: &[u8],
        now: Duration,
    ) -> Result<LogIndex, Failure> {
        let index = match snapshot {
            [] => LogIndex(0),
            bytes => self.read_snapshot(server, bytes, now)?.index,
        };
        let progress = &mut self.servers[server.0];
        progress.snapshot = progress.snapshot.max(index);
        Ok(index)
    }

    fn read_snapshot(
        &self,
        server: ServerId,
        bytes: &[u8],
        now: Duration,
    ) -> Result<Snapshot, Failure> {
        let Ok(snapshot) = labgob::from_bytes::<Snapshot>(bytes) else {
            return Err(bad_snapshot(server, "its bytes are not those of any snapshot", now));
        };
        let equal = snapshot.commands.len() as u64 == snapshot.index.0
            && snapshot.commands.len() <= self.entries.len()
            && snapshot.commands.iter().zip(&self.entries).all(|(a, b)| *a == b.command);
        if !equal {
            return Err(bad_snapshot(server, "its contents are not what was applied", now));
        }
        Ok(snapshot)
    }

    // ---- questions ----

    /// The snapshot that a service which has applied everything up to `index` makes.
    #[must_use]
    pub fn snapshot_at(&self, index: LogIndex) -> Snapshot {
        let entries = &self.entries[..=place(index)];
        Snapshot { index, commands: entries.iter().map(|entry| entry.command.clone()).collect() }
    }

    /// How many servers that are up have applied this index.
    #[must_use]
    pub fn count(&self, index: LogIndex) -> usize {
        let has = |progress: &&Progress| progress.up && progress.applied >= index;
        self.servers.iter().filter(has).count()
    }

    /// The command that any server ever applied at this index.
    #[must_use]
    pub fn at(&self, index: LogIndex) -> Option<&Bytes> {
        self.entry(index).map(|entry| &entry.command)
    }

    /// The term of the entry that any server ever applied at this index.
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.entry(index).map(|entry| entry.term)
    }

    /// When this index was first applied, and by whom.
    #[must_use]
    pub fn first(&self, index: LogIndex) -> Option<(ServerId, Duration)> {
        self.entry(index).map(|entry| (entry.by, entry.first))
    }

    /// The highest index that any server ever applied.
    #[must_use]
    pub fn highest(&self) -> LogIndex {
        LogIndex(self.entries.len() as u64)
    }

    /// The highest index that any `start` has promised: no log was ever longer.
    #[must_use]
    pub fn longest_log(&self) -> LogIndex {
        self.promises.keys().map(|id| id.index).max().unwrap_or_default()
    }

    /// Every command ever applied, in log order.
    pub fn commands(&self) -> impl Iterator<Item = &Bytes> {
        self.entries.iter().map(|entry| &entry.command)
    }

    /// How far this server's present incarnation has come; `None` while it is down.
    #[must_use]
    pub fn progress(&self, server: ServerId) -> Option<LogIndex> {
        let progress = &self.servers[server.0];
        progress.up.then_some(progress.applied)
    }

    /// How many snapshots were handed to this server's service by its Raft.
    #[must_use]
    pub fn installs(&self, server: ServerId) -> u64 {
        self.servers[server.0].installed
    }

    fn entry(&self, index: LogIndex) -> Option<&Entry> {
        self.entries.get(index.0.checked_sub(1).and_then(|n| usize::try_from(n).ok())?)
    }

    fn never_accepted(
        &self,
        id: EntryId,
        command: &Bytes,
        by: ServerId,
        when: Duration,
    ) -> Failure {
        let promises = self.promises.iter().filter(|(_, (promised, _))| promised == command);
        let accepted: Vec<String> =
            promises.map(|(id, (_, server))| format!("{id} on {server}")).collect();
        let accepted = if accepted.is_empty() {
            "every start() refused it".to_owned()
        } else {
            format!("start() only ever promised {}", accepted.join(", "))
        };
        Failure::safety("a command that no leader took in was applied")
            .expected("only the leader of a term appends in it, and start() says where (Raft 5.3)")
            .happened(format!("{by} applied {} as {id} {}; {accepted}", show(command), at(when)))
            .look_at(
                "what start() does before it knows that this server leads, and what it returns",
            )
    }
}

fn place(index: LogIndex) -> usize {
    usize::try_from(index.prev().0).expect("a log index fits in memory")
}

fn out_of_order(server: ServerId, applied: LogIndex, index: LogIndex, now: Duration) -> Failure {
    let next = applied.next();
    let kind = if index < next { "applied again" } else { "left out" };
    Failure::safety("apply out of order")
        .expected("each server applies every index once, in order (Raft 5.3)")
        .happened(format!(
            "{server} had applied everything up to {applied}; {} its next was {index}, not {next}: \
             something was {kind}",
            at(now),
        ))
        .look_at("how last applied moves, also at a restart and with a snapshot, and who else sends on the apply channel")
}

fn older_term(server: ServerId, before: Term, id: EntryId, now: Duration) -> Failure {
    Failure::safety("terms go back along the log")
        .expected("along a log, terms never decrease (Raft 5.3)")
        .happened(format!("{server} applied {id} {}, after an entry of {before}", at(now)))
        .look_at("which term an entry is given when it is appended, and after a snapshot")
}

fn different(
    server: ServerId,
    entry: &Entry,
    id: EntryId,
    command: &Bytes,
    now: Duration,
) -> Failure {
    let Entry { term, command: first, by, first: when } = entry;
    Failure::safety("two servers applied different commands at one index")
        .expected("what is applied at an index is the same on every server, for ever (Raft 5.4.3, State Machine Safety)")
        .happened(format!(
            "at {} {by} applied {} of {term}, {}; {server} applied {} of {}, {}",
            id.index,
            show(first),
            at(*when),
            show(command),
            id.term,
            at(now),
        ))
        .look_at("who can win an election (5.4.1), what counts as committed (5.4.2), the check before entries are appended (5.3), what is saved before a reply")
}

fn promised_twice(id: EntryId, first: (&Bytes, ServerId), second: (&Bytes, ServerId)) -> Failure {
    Failure::safety("start() promised one entry twice")
        .expected("a leader creates at most one entry with a given index in its term (Raft 5.3, Log Matching)")
        .happened(format!(
            "{id} was promised to {} by {} and to {} by {}",
            show(first.0),
            first.1,
            show(second.0),
            second.1
        ))
        .look_at("how start() chooses the index, and whether a leader ever drops entries of its own (Leader Append-Only)")
}

fn promise_broken(id: EntryId, promised: &Bytes, by: ServerId, entry: &Entry) -> Failure {
    Failure::safety("start() named an entry that holds another command")
        .expected("the entry that start() names is that command, in whatever log it turns up (Raft 5.3, Log Matching)")
        .happened(format!(
            "{by} promised {id} to {}; {} applied {} there {}",
            show(promised),
            entry.by,
            show(&entry.command),
            at(entry.first),
        ))
        .look_at("whether start() reads index and term in the same step that appends")
}

fn mislabelled(server: ServerId, id: EntryId, wrong: &str, now: Duration) -> Failure {
    Failure::safety("a snapshot came with a wrong label")
        .expected("an installed snapshot comes with the index and term of its last entry (Raft 7)")
        .happened(format!("{server} was handed a snapshot as {id} {}; {wrong}", at(now)))
        .look_at("last included index and term, where a snapshot is taken and where it is installed (Figure 13)")
}

fn bad_snapshot(server: ServerId, what: &str, now: Duration) -> Failure {
    Failure::safety("a snapshot is damaged")
        .expected("a snapshot comes back as the bytes that the service gave to snapshot() (Raft 7)")
        .happened(format!("{server} holds a snapshot {}: {what}", at(now)))
        .look_at("which bytes are saved, sent and handed over as the snapshot")
}

fn snapshot_lost(server: ServerId, had: LogIndex, has: LogIndex, now: Duration) -> Failure {
    let has = if has.0 == 0 { "none".to_owned() } else { format!("only one up to {has}") };
    Failure::safety("a snapshot was lost in a crash")
        .expected("a saved snapshot stays until a newer one replaces it (Raft 7)")
        .happened(format!(
            "{server} had saved a snapshot up to {had}; restarted {}, it has {has}",
            at(now)
        ))
        .look_at("what every save does to the snapshot")
}
