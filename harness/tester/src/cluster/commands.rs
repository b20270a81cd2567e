//! Commands: how the tester makes them and gives them to servers.

use std::sync::atomic::Ordering;

use labgob::Bytes;
use labrt::time::{self, Duration, Instant};
use raftapi::{EntryId, ServerId, Term};

use super::Cluster;
use super::lives::Incarnation;
use crate::choices::Verb;
use crate::log;
use crate::report::Failure;
use crate::text::{at, command as show, span};

/// `start()` and `get_state()` must come back in this time, whatever the network does.
pub const PROMPT: Duration = Duration::from_millis(500);

/// What a command takes that is left out.
pub(crate) const LEFT_OUT: Duration = Duration::from_micros(100);

impl Cluster {
    /// Gives a server a command; `None` if it is down or refuses. What it promises is checked.
    pub fn start(&self, server: ServerId, command: &Bytes) -> Option<EntryId> {
        let Some(step) = self.choices().command(Verb::Start) else {
            time::sleep(LEFT_OUT); // so that a story that tries again and again comes to an end
            return None;
        };
        let id = self.give(server, command)?;
        self.choices().given(step, || format!("{} to {server}", show(command)));
        Some(id)
    }

    /// The same for a command that cannot be left out.
    pub(crate) fn give(&self, server: ServerId, command: &Bytes) -> Option<EntryId> {
        let Incarnation { node, raft, .. } = self.incarnation(server)?;
        let call = self.checker().tell(|history, _| Ok(history.applied.starting(command)));
        let began = Instant::now();
        let answer = node.run(|| raft.start(command.to_vec()));
        let took = began.elapsed();
        let Ok(answer) = answer else {
            self.checker().tell(|history, _| {
                history.applied.cut_short(call);
                Ok(())
            });
            return None;
        };
        let excused = self.shared.habits.get().is_some_and(|habits| habits.excuses());
        if took > PROMPT && !excused {
            slow_start(server, took).raise();
        }
        if let Ok(id) = answer {
            tracing::info!(target: log::START, "{server} takes {} as {id}", show(command));
            self.shared.recorder.command(server, id, command);
            let shown = self.shown_to_lead(server, id.term);
            self.checker().tell(|history, now| {
                history.elections.took((server, id), shown, now)?;
                history.applied.accepted(call, server, id)
            });
            Some(id)
        } else {
            self.checker().tell(|history, _| history.applied.refused(call));
            None
        }
    }

    /// What a server that has just taken a command shows: its term, and whether it may have led this one.
    /// `None` if it cannot be looked into.
    fn shown_to_lead(&self, server: ServerId, term: Term) -> Option<(Term, bool)> {
        let (current, leads) = self.observe_state(server)?;
        if (current, leads) != (term, false) {
            return Some((current, leads || current > term));
        }
        // Who led it may have given up its office. But it had its own vote.
        let view = self.observe(server)?.view?;
        Some((current, view.current_term != term || view.voted_for == Some(server)))
    }

    /// A command that no other is equal to.
    pub fn command(&self) -> Bytes {
        let n = self.shared.commands.fetch_add(1, Ordering::Relaxed) + 1;
        Bytes::from(n.to_string().into_bytes())
    }

    /// A command of so many bytes that no other is equal to.
    pub fn command_of(&self, bytes: usize) -> Bytes {
        let mut command = self.command().to_vec();
        command.push(b' ');
        command.resize(command.len().max(bytes), b'.');
        Bytes::from(command)
    }

    /// Gives a server a new command. `None` if it is down or refuses.
    pub fn propose(&self, server: ServerId) -> Option<EntryId> {
        self.start(server, &self.command())
    }

    /// Gives every server that is up a new command, the same to all, and returns the last that
    /// took it.
    pub fn propose_to_all(&self) -> Option<(ServerId, EntryId)> {
        let command = self.command();
        self.servers().filter_map(|server| Some((server, self.start(server, &command)?))).last()
    }
}

fn slow_start(server: ServerId, took: Duration) -> Failure {
    Failure::liveness("start() blocked")
        .expected(format!("start() returns at once, within {} (Raft API)", span(PROMPT)))
        .happened(format!(
            "{server} took {} for it, until {}",
            span(took),
            at(labrt::sim::elapsed())
        ))
        .look_at("which locks are held while another server is called")
}
