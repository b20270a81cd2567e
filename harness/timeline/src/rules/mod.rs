//! Steps that no right Raft takes, found in a recorded run: what the strip of rules shows, and where
//! *why* begins.
//!
//! These are the paper's properties and its rules for servers, applied to what servers were seen to
//! be in, and to what they told each other. A server that shows nothing of itself is not judged, and
//! what a message says is judged only if its fields have the usual names ([`crate::words`]).
//!
//! | file | whose steps |
//! | --- | --- |
//! | `elections.rs` | voters, candidates, new leaders |
//! | `logs.rs` | followers that take entries |
//! | `commits.rs` | whoever commits, whoever applies |
//! | `progress.rs` | leaders and what they know of their followers |
//! | `snapshots.rs` | own snapshots, and those of leaders |
//! | `promises.rs` | whatever must be on the disk |
//! | `timers.rs` | servers that wait too long, and leaders that say too much or too little |
//! | `clients.rs` | servers that answer clients, and clients |
//! | `talk.rs` | what was heard so far |

mod clients;
mod commits;
mod elections;
mod logs;
mod progress;
mod promises;
mod snapshots;
pub(crate) mod talk;
mod timers;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::{Event, Micros, Role, Run, What};
use crate::replay::{Replay, State};
use talk::{Message, Talk};

/// A step that no right Raft takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// When.
    pub at: Micros,
    /// At which event of the run.
    pub event: usize,
    /// The server that took it.
    pub server: usize,
    /// What it was after the step.
    pub role: Role,
    /// What it did.
    pub act: Act,
    /// The rule that it breaks.
    pub rule: Rule,
    /// The step, as a sentence.
    pub text: String,
    /// Of which term it is.
    pub term: u64,
    /// At which log index, if at one.
    pub index: Option<u64>,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Gives its vote, or refuses it.
    Vote,
    /// Asks for votes.
    Campaign,
    /// Begins to lead.
    Elected,
    /// Ceases to lead.
    Stepdown,
    /// Takes over a term.
    Term,
    /// Takes entries, and says whether it did.
    Append,
    /// Commits.
    Commit,
    /// Applies.
    Apply,
    /// Saves, or promises what is not saved.
    Save,
    /// Takes a snapshot of its own.
    Snapshot,
    /// Takes the leader's snapshot.
    Install,
    /// Starts from its disk.
    Restart,
    /// Takes a command.
    Start,
    /// Notes what a follower has.
    Progress,
    /// Sends a request.
    Request,
    /// Waits.
    Timer,
    /// Executes what it applies, in the service.
    Execute,
    /// Answers a client.
    Answer,
    /// Returns from an operation: a client.
    Return,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// At most one leader in a term.
    ElectionSafety,
    /// A leader only appends.
    LeaderAppendOnly,
    /// Equal entries, equal logs before them.
    LogMatching,
    /// What was committed is in every later leader's log.
    LeaderCompleteness,
    /// One entry for an index.
    StateMachineSafety,
    /// Terms, commit and match indexes do not go back.
    OnlyForward,
    /// One vote in a term.
    OneVote,
    /// A leader has a majority of votes.
    Majority,
    /// Votes go to logs that are at least as good.
    BetterLog,
    /// What is committed is on a majority.
    Stored,
    /// Only entries of the own term are committed by counting (Figure 8).
    OwnTerm,
    /// Promises survive a crash.
    Persistence,
    /// Each index is applied once, in order.
    InOrder,
    /// Whoever leads an older term is refused.
    OldLeader,
    /// Whoever learns of a newer term is in it.
    NewerTerm,
    /// Entries are taken behind the entry that they follow, and only there.
    Consistency,
    /// What the leader knows of its followers is true.
    Followers,
    /// What a majority has is committed, and followers learn of it.
    Progress,
    /// A snapshot takes the place of what it includes, and of nothing else.
    Compaction,
    /// Elections are held when there is no leader, and only then.
    Elections,
    /// Leaders speak in time, and not too often.
    Speech,
    /// No lock is held while something is waited for.
    Locks,
    /// Each operation of a client is executed once, before it is answered.
    Clients,
}

/// Everything found, in the order of the run; the same sentence once, and not more than can be looked at.
pub fn findings(run: &Run) -> Vec<Finding> {
    let mut judge = Judge::new(run);
    let mut messages = talk::messages(run).into_iter().peekable();
    for (number, event) in run.events.iter().enumerate() {
        while let Some(message) = messages.next_if(|message| message.at < event.at) {
            judge.message(&message, number.saturating_sub(1));
        }
        judge.step(number, event);
    }
    for message in messages {
        judge.message(&message, run.events.len().saturating_sub(1));
    }
    judge.end();
    judge.found.extend(clients::findings(run));
    // Who takes entries and commits does it in this order (Figure 2), and is seen to have done both.
    judge.found.sort_by_key(|finding| (finding.at, finding.act != Act::Append, finding.event));
    judge.found
}

/// Findings of one rule on one server; more of the same would hide the rest.
const OF_A_KIND: usize = 50;

/// What was done at once was done because of what was there: within so many microseconds.
const SOON: Micros = 3_000;

struct Judge<'a> {
    run: &'a Run,
    replay: Replay,
    /// Which servers show what they are in.
    shown: Vec<bool>,
    talk: Talk,
    found: Vec<Finding>,
    counts: BTreeMap<(usize, Rule), usize>,
    /// What has been found, without what it was found at.
    known: BTreeSet<(usize, Rule, Act, u64, Option<u64>)>,
    /// What each server was in when it crashed.
    crashed: Vec<Option<State>>,
    /// It has started, and was not looked at yet.
    starts: Vec<bool>,
    elections: elections::Elections,
    logs: logs::Logs,
    commits: commits::Commits,
    progress: progress::Progress,
    snapshots: snapshots::Snapshots,
    promises: promises::Promises,
    timers: timers::Timers,
}

impl<'a> Judge<'a> {
    fn new(run: &'a Run) -> Judge<'a> {
        let servers = run.servers;
        Judge {
            run,
            replay: Replay::new(servers),
            shown: (0..servers).map(|server| run.shows(server)).collect(),
            talk: Talk::new(run),
            found: Vec::new(),
            counts: BTreeMap::new(),
            known: BTreeSet::new(),
            crashed: vec![None; servers],
            starts: vec![false; servers],
            elections: elections::Elections::default(),
            logs: logs::Logs::default(),
            commits: commits::Commits::new(servers),
            progress: progress::Progress::default(),
            snapshots: snapshots::Snapshots::new(servers),
            promises: promises::Promises::new(servers),
            timers: timers::Timers::new(run),
        }
    }

    fn step(&mut self, number: usize, event: &Event) {
        let Some(server) = event.server.filter(|server| *server < self.replay.servers.len()) else {
            return;
        };
        let (run, at) = (self.run, event.at);
        let scene = Scene {
            run,
            replay: &self.replay,
            shown: &self.shown,
            talk: &self.talk,
            at,
            event: number,
            server,
        };
        let mut before = Report::of(&scene);
        self.timers.pass(&scene, &mut before);
        let old = self.replay.servers[server].memory.clone();
        let old_disk = self.replay.servers[server].disk.clone();
        self.replay.step(event);
        let new = self.replay.servers[server].memory.clone();
        let scene = Scene {
            run,
            replay: &self.replay,
            shown: &self.shown,
            talk: &self.talk,
            at,
            event: number,
            server,
        };
        let mut report = Report { found: before.found, ..Report::of(&scene) };
        match &event.what {
            // What is derived from messages, or never was seen, is not judged.
            What::State(_) | What::Snapshot { .. } | What::Command { .. }
                if !self.shown[server] => {}
            What::Crashed => self.crashed[server] = Some(old),
            What::Started => {
                self.starts[server] = true;
                self.commits.started(server);
                self.logs.started(&scene);
                self.snapshots.started(server);
                self.timers.started(&scene);
            }
            What::State(change) => {
                let first = std::mem::take(&mut self.starts[server]);
                if let Some(before) = self.crashed[server].take() {
                    promises::remembers(&mut report, &before, &new);
                    snapshots::restarts(&mut report, &new);
                } else {
                    goes_on(&scene, &mut report, &old, &new);
                }
                self.timers.state(&scene, &mut report, &old, &new);
                self.elections.state(&scene, &mut report, &old, &new);
                if !first {
                    self.snapshots.state(&scene, &mut report, &old, &new);
                }
                self.logs.state(&scene, &mut report, (&old, &new), change, first);
                self.progress.state(&scene, &mut report, &old, &new);
                self.commits.state(&scene, &mut report, &old, &new);
            }
            What::Saved { snapshot, same, disk, .. } => {
                let moved = (old_disk.as_ref(), disk.is_some());
                if self.shown[server] {
                    self.snapshots.saved(&scene, &mut report, moved, *same);
                }
                self.promises.saved(&mut report, *snapshot);
            }
            What::Snapshot { index } => self.snapshots.taken(&scene, *index),
            What::Installed { index, .. } => self.commits.installed(server, *index),
            What::Applied { index, term, command } => {
                self.commits.applied(&mut report, *index, *term, command);
            }
            What::Closed { until } => {
                timers::closed(&scene, &mut report, *until);
                self.snapshots.closed(server);
            }
            What::Command { index, .. } => self.timers.command(&scene, *index),
            _ => {}
        }
        self.enter(report.found);
    }

    /// A message leaves or arrives. Whatever it rests on has happened by now.
    fn message(&mut self, message: &Message, event: usize) {
        let server = message.server;
        let (run, replay, at) = (self.run, &self.replay, message.at);
        let scene = Scene { run, replay, shown: &self.shown, talk: &self.talk, at, event, server };
        let mut report = Report::of(&scene);
        self.timers.pass(&scene, &mut report);
        if server < run.servers && replay.servers[server].up && !self.shown[server] {
            elections::answers_in_old_term(&scene, &mut report, message);
        } else if server < run.servers && replay.servers[server].up {
            self.timers.message(&scene, &mut report, message);
            self.elections.message(&scene, &mut report, message);
            self.logs.message(&scene, &mut report, message);
            self.progress.message(&scene, &mut report, message);
            self.commits.message(&scene, &mut report, message);
            promises::message(&scene, &mut report, message);
        }
        self.talk.hear(message, &self.replay);
        self.enter(report.found);
    }

    /// The run is over.
    fn end(&mut self) {
        let event = self.run.events.len().saturating_sub(1);
        let (run, replay, at) = (self.run, &self.replay, self.run.end);
        let scene =
            Scene { run, replay, shown: &self.shown, talk: &self.talk, at, event, server: 0 };
        let mut report = Report::of(&scene);
        self.timers.pass(&scene, &mut report);
        self.snapshots.end(&scene, &mut report);
        self.enter(report.found);
    }

    fn enter(&mut self, found: Vec<Finding>) {
        for finding in found {
            let Finding { server, rule, act, term, index, .. } = finding;
            if !self.known.insert((server, rule, act, term, index)) {
                continue;
            }
            let count = self.counts.entry((server, rule)).or_default();
            *count += 1;
            if *count <= OF_A_KIND {
                self.found.push(finding);
            }
        }
    }
}

/// Who does something, when, and what there is at that instant.
struct Scene<'a> {
    run: &'a Run,
    replay: &'a Replay,
    /// Which servers show what they are in.
    shown: &'a [bool],
    talk: &'a Talk,
    at: Micros,
    event: usize,
    server: usize,
}

impl Scene<'_> {
    fn memory(&self) -> &State {
        &self.replay.servers[self.server].memory
    }

    fn majority(&self) -> usize {
        self.run.servers / 2 + 1
    }
}

/// Findings at one instant.
struct Report {
    at: Micros,
    event: usize,
    server: usize,
    roles: Vec<Role>,
    found: Vec<Finding>,
}

impl Report {
    fn of(scene: &Scene) -> Report {
        let Scene { at, event, server, .. } = *scene;
        let roles = scene.replay.servers.iter().map(|server| server.memory.role).collect();
        Report { at, event, server, roles, found: Vec::new() }
    }

    fn add(&mut self, what: (Rule, Act), term: u64, index: Option<u64>, text: String) {
        let place = (self.at, self.event, self.server);
        self.add_at(place, what, term, index, text);
    }

    /// Something that was done at another instant, and is only now known to be wrong.
    fn add_at(
        &mut self,
        (at, event, server): (Micros, usize, usize),
        what: (Rule, Act),
        term: u64,
        index: Option<u64>,
        text: String,
    ) {
        let (rule, act) = what;
        let mut finding =
            Finding { at, event, server, role: Role::Follower, act, rule, text, term, index };
        finding.role = self.roles.get(server).copied().unwrap_or_default();
        self.found.push(finding);
    }
}

/// From one look to the next.
fn goes_on(scene: &Scene, report: &mut Report, old: &State, new: &State) {
    let server = scene.server;
    if new.term < old.term {
        let text = format!("S{server} goes back from T{} to T{}", old.term, new.term);
        report.add((Rule::OnlyForward, Act::Term), new.term, None, text);
    }
    if let Some(vote) = old.vote.filter(|_| new.term == old.term && new.vote != old.vote) {
        let now = new.vote.map_or("for nobody".to_owned(), |vote| format!("for S{vote}"));
        let text = format!("S{server} voted for S{vote} in T{}; now its vote is {now}", new.term);
        report.add((Rule::OneVote, Act::Vote), new.term, None, text);
    }
    if new.commit < old.commit {
        let act = if new.base == old.base { Act::Commit } else { Act::Install };
        let text =
            format!("S{server} takes its commit index back, {} to {}", old.commit, new.commit);
        report.add((Rule::OnlyForward, act), new.term, Some(old.commit), text);
    }
}
