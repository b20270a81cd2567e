//! The history of terms and leaders, over the whole run: what must hold in it, and what to say if
//! it does not (Raft 5.1, 5.2).
//!
//! Plain data: it is told what was seen, and knows nothing of clusters, clocks or locks.

use std::collections::BTreeMap;

use labrt::time::Duration;
use raftapi::{EntryId, ServerId, Term};

use crate::report::Failure;
use crate::text::at;

/// A term that a server showed for so long before it crashed must still be known to it afterwards.
///
/// A right server saves a new term before any message depends on it, but it may show the term
/// before the save is done. That is far longer than any save takes here.
pub const SURELY_SAVED: Duration = Duration::from_millis(50);

/// Who led which term, and which terms each server has been in.
#[derive(Debug, Clone)]
pub struct Elections {
    leaders: BTreeMap<Term, Leader>,
    servers: Vec<Terms>,
    /// When anybody was first seen in each term.
    began: BTreeMap<Term, Duration>,
    resigned: Vec<(ServerId, Term, Duration)>,
    /// Who first returned each term from `start()`.
    took: BTreeMap<Term, (ServerId, EntryId, Duration)>,
}

#[derive(Debug, Clone, Copy)]
struct Leader {
    server: ServerId,
    since: Duration,
}

/// What one server's `get_state` showed.
#[derive(Debug, Clone, Default)]
struct Terms {
    incarnation: u32,
    /// Each term that was seen, and when first. Never empty after the first look.
    seen: Vec<(Term, Duration)>,
    /// The term that this incarnation led when it was last looked at.
    leads: Option<Term>,
    /// The term that this incarnation must at least remember, and when an earlier one showed it.
    saved: (Term, Duration),
}

impl Elections {
    /// No server has been looked at yet.
    #[must_use]
    pub fn new(servers: usize) -> Elections {
        Elections {
            leaders: BTreeMap::new(),
            servers: vec![Terms::default(); servers],
            began: BTreeMap::new(),
            resigned: Vec::new(),
            took: BTreeMap::new(),
        }
    }

    /// A server started; what is seen of it from now on is this incarnation's.
    pub fn started(&mut self, server: ServerId, incarnation: u32) {
        let terms = &mut self.servers[server.0];
        terms.incarnation = incarnation;
        terms.seen.clear();
        terms.leads = None;
    }

    /// A server crashed.
    pub fn crashed(&mut self, server: ServerId, now: Duration) {
        let terms = &mut self.servers[server.0];
        let sure = terms.seen.iter().rev().find(|(_, since)| *since + SURELY_SAVED <= now);
        if let Some(&(term, since)) = sure
            && term > terms.saved.0
        {
            terms.saved = (term, since);
        }
    }

    /// A server showed this term and role.
    ///
    /// # Errors
    ///
    /// If another server led this term, or this server's term went back.
    pub fn saw(
        &mut self,
        server: ServerId,
        incarnation: u32,
        (term, leads): (Term, bool),
        now: Duration,
    ) -> Result<Seen, Failure> {
        let mut news = Seen::default();
        if leads {
            let leader = *self.leaders.entry(term).or_insert_with(|| {
                news.new_leader = true;
                Leader { server, since: now }
            });
            if leader.server != server {
                return Err(two_leaders(term, leader, server, now));
            }
            if let Some(&took) = self.took.get(&term)
                && took.0 != server
            {
                return Err(not_its_term(took, &leads_it(server, now)));
            }
        }
        let terms = &mut self.servers[server.0];
        if incarnation != terms.incarnation {
            return Ok(news); // it answered before a crash that is on record already
        }
        match terms.seen.last() {
            Some(&(last, since)) if term < last => {
                return Err(term_went_back(server, (last, since), term, now));
            }
            Some(&(last, _)) if term == last => {}
            None if term < terms.saved.0 => {
                return Err(term_forgotten(server, terms.saved, term, now));
            }
            _ => {
                terms.seen.push((term, now));
                self.began.entry(term).or_insert(now);
            }
        }
        if !leads && terms.leads == Some(term) {
            self.resigned.push((server, term, now));
        }
        terms.leads = leads.then_some(term);
        Ok(news)
    }

    /// When this term was first seen to be led.
    #[must_use]
    pub fn led_since(&self, term: Term) -> Option<Duration> {
        self.leaders.get(&term).map(|leader| leader.since)
    }

    /// The last term before this one that this server was seen to lead.
    #[must_use]
    pub fn led_before(&self, server: ServerId, term: Term) -> Option<Term> {
        let mut earlier = self.leaders.range(..term).rev();
        earlier.find(|(_, leader)| leader.server == server).map(|(term, _)| *term)
    }

    /// `start()` has put a command where this says. At this instant the server showed a term, and whether
    /// it may have led the one of the command; `None` if it showed nothing.
    ///
    /// # Errors
    ///
    /// If the server cannot have led that term.
    pub fn took(
        &mut self,
        (server, id): (ServerId, EntryId),
        shown: Option<(Term, bool)>,
        now: Duration,
    ) -> Result<(), Failure> {
        let took = (server, id, now);
        match self.leaders.get(&id.term) {
            Some(leader) if leader.server == server => return Ok(()),
            Some(leader) => return Err(not_its_term(took, &leads_it(leader.server, leader.since))),
            None => {}
        }
        match shown {
            Some((term, _)) if term < id.term => {
                return Err(not_its_term(took, &format!("it was in {term} then")));
            }
            Some((_, false)) => {
                return Err(not_its_term(took, "it did not lead, and had not voted for itself"));
            }
            _ => {}
        }
        self.took.entry(id.term).or_insert(took);
        Ok(())
    }

    /// The newest term that any server has shown.
    #[must_use]
    pub fn newest_term(&self) -> Term {
        let newest = |terms: &Terms| terms.seen.last().map_or(terms.saved.0, |(term, _)| *term);
        self.servers.iter().map(newest).max().unwrap_or_default()
    }

    /// When anybody was first seen in this term.
    #[must_use]
    pub fn began(&self, term: Term) -> Option<Duration> {
        self.began.get(&term).copied()
    }

    /// Every leader so far: its term, and when it was first seen to lead.
    #[must_use]
    pub fn leaders(&self) -> Vec<(Term, ServerId, Duration)> {
        self.leaders.iter().map(|(term, leader)| (*term, leader.server, leader.since)).collect()
    }

    /// Who was seen not to lead a term any more, and yet to be in it, and when. A leader that knows
    /// it has lost its majority may do that (dissertation 6.2); others lead until a newer term.
    #[must_use]
    pub fn resigned(&self) -> Vec<(ServerId, Term, Duration)> {
        self.resigned.clone()
    }

    /// In how many terms there was a leader.
    #[must_use]
    pub fn terms_with_a_leader(&self) -> usize {
        self.leaders.len()
    }
}

/// What a look at a server showed that nobody knew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// This term had no leader before.
    pub new_leader: bool,
}

fn two_leaders(term: Term, first: Leader, second: ServerId, now: Duration) -> Failure {
    Failure::safety("two leaders in one term")
        .expected("at most one leader in each term (Raft 5.2, Election Safety)")
        .happened(format!(
            "{} led {term}, first seen {}; {second} leads {term} too, seen {}",
            first.server,
            at(first.since),
            at(now),
        ))
        .look_at("when a vote is granted, which votes are counted, and what is saved before the reply (Figure 2)")
}

fn leads_it(leader: ServerId, since: Duration) -> String {
    format!("{leader} leads that term, seen {}", at(since))
}

fn not_its_term((server, id, when): (ServerId, EntryId, Duration), why: &str) -> Failure {
    Failure::safety("start() returned a term that the server does not lead")
        .expected("start() returns the term in which the server took the command, and which it leads (Raft API, 5.3)")
        .happened(format!("{server} took a command as {id}, {}; {why}", at(when)))
        .look_at("whether start() looks if it leads, appends, and reads the term that it returns without opening its lock in between")
}

fn term_went_back(
    server: ServerId,
    (last, since): (Term, Duration),
    term: Term,
    now: Duration,
) -> Failure {
    Failure::safety("a term went back")
        .expected("a server's current term only grows (Raft 5.1)")
        .happened(format!("{server} was in {last} {}, and in {term} {}", at(since), at(now)))
        .look_at(
            "every place that assigns the current term, also from replies (Figure 2, All Servers)",
        )
}

fn term_forgotten(
    server: ServerId,
    (saved, since): (Term, Duration),
    term: Term,
    now: Duration,
) -> Failure {
    Failure::safety("a term was forgotten in a crash")
        .expected("a server's current term survives a crash (Raft Figure 2, Persistent state)")
        .happened(format!(
            "{server} was in {saved} {}; restarted, it is in {term} {}",
            at(since),
            at(now)
        ))
        .look_at(
            "what is saved when a server learns of a newer term, and what is read back at start",
        )
}
