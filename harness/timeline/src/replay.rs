//! Each server's state at each event, from the changes that were recorded.

use crate::model::{Change, Event, Role, What};

/// What a server is in, or what it would read back from its disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Current term.
    pub term: u64,
    /// Role; of a disk, always the default.
    pub role: Role,
    /// Who got its vote in that term.
    pub vote: Option<usize>,
    /// Index and term of the last entry in the snapshot.
    pub base: (u64, u64),
    /// Terms of the entries after that.
    pub log: Vec<u64>,
    /// Commit index.
    pub commit: u64,
    /// Last index applied.
    pub applied: u64,
    /// On a leader: for each other server its number, next index and match index.
    pub followers: Vec<(usize, u64, u64)>,
}

impl State {
    /// Makes the change.
    pub fn apply(&mut self, change: &Change) {
        self.term = change.term.unwrap_or(self.term);
        self.role = change.role.unwrap_or(self.role);
        if let Some(vote) = change.vote {
            self.vote = usize::try_from(vote).ok();
        }
        if let Some(base) = change.base {
            let gone = place(base.0.saturating_sub(self.base.0)).min(self.log.len());
            self.log.drain(..gone);
            self.base = base;
        }
        if let Some((kept, terms)) = &change.log {
            self.log.truncate(place(kept.saturating_sub(self.base.0)));
            self.log.extend(terms);
        }
        self.commit = change.commit.unwrap_or(self.commit);
        self.applied = change.applied.unwrap_or(self.applied);
        if let Some(followers) = &change.followers {
            self.followers.clone_from(followers);
        }
    }

    /// The term of the entry at `index`: `None` beyond the last, and below the snapshot's last.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        match index.checked_sub(self.base.0)? {
            0 => Some(self.base.1),
            after => self.log.get(place(after - 1)).copied(),
        }
    }

    /// Index and term of the last entry.
    pub fn last(&self) -> (u64, u64) {
        let index = self.base.0 + self.log.len() as u64;
        (index, self.log.last().copied().unwrap_or(self.base.1))
    }

    /// Does the log hold this entry, or a snapshot that covers it?
    pub fn holds(&self, index: u64, term: u64) -> bool {
        index < self.base.0 || self.term_at(index) == Some(term)
    }
}

/// One server.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// Does it run?
    pub up: bool,
    /// What it is in; before its crash, if it is down.
    pub memory: State,
    /// What its successor would start from, where that is known.
    pub disk: Option<State>,
}

/// All servers, from event to event.
#[derive(Debug, Clone)]
pub struct Replay {
    /// By number.
    pub servers: Vec<Server>,
}

impl Replay {
    /// Before the first event.
    pub fn new(servers: usize) -> Replay {
        Replay { servers: vec![Server::default(); servers] }
    }

    /// Goes on by one event.
    pub fn step(&mut self, event: &Event) {
        let Some(server) = event.server.and_then(|server| self.servers.get_mut(server)) else {
            return;
        };
        match &event.what {
            What::Started => {
                server.up = true;
                server.memory = State::default();
            }
            What::Crashed => server.up = false,
            What::State(change) => server.memory.apply(change),
            What::Saved { disk, .. } => {
                // What comes after a gap is whole again.
                match disk {
                    Some(change) => server.disk.get_or_insert_default().apply(change),
                    None => server.disk = None,
                }
            }
            _ => {}
        }
    }
}

fn place(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_and_goes_on() {
        let mut state = State::default();
        state.apply(&Change { log: Some((0, vec![1, 1, 2])), ..Change::default() });
        assert_eq!((state.last(), state.term_at(2), state.term_at(4)), ((3, 2), Some(1), None));
        state.apply(&Change { log: Some((1, vec![3])), ..Change::default() });
        assert_eq!(state.log, [1, 3]);
        state.apply(&Change { base: Some((1, 1)), ..Change::default() });
        assert_eq!((state.log.clone(), state.last(), state.term_at(0)), (vec![3], (2, 3), None));
        assert!(state.holds(0, 9) && state.holds(2, 3) && !state.holds(2, 1));
        let snapshot = Change { base: Some((9, 4)), log: Some((9, vec![])), ..Change::default() };
        state.apply(&snapshot);
        assert_eq!(state.last(), (9, 4));
    }
}
