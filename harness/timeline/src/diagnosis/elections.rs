//! Servers that elect no leader (Raft 5.1, 5.2, 5.4.1).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Micros, What};
use crate::rules::talk::Method;

use super::seen::{Exchange, Seen};
use super::{Diagnosis, at, list, span, times};

/// A new leader is heard within this time.
const HEARD: Micros = 100_000;

/// A server that hears no leader campaigns within this time.
const LONGEST: Micros = 2_500_000;

/// Messages may have been on their way out when a newer term was learned.
const HANDLING: Micros = 100_000;

/// What is seen so often is not chance.
const OFTEN: usize = 3;

/// No election timeout is shorter.
const SHORTEST: Micros = 100_000;

/// Candidates that begin within this time of each other divide the votes.
const TOGETHER: Micros = 20_000;

const COUNT: &str = "when votes are counted, and against what (5.2): with each vote that arrives, and a \
     majority of all servers elects; nobody else's answer is waited for";
const TERMS: &str = "what a server does with a newer term in any request or reply (5.1; Figure 2, All \
     Servers): it takes it over, whatever else it answers";
const VOTES: &str = "to whom a vote is granted: voted_for is of one term (5.2), and logs are compared by \
     the terms of their last entries first, then by length (5.4.1)";
const STEPPED_DOWN: &str = "what a leader does when it steps down: it is a follower from then on, and its \
     election timer runs (5.2, Figure 4)";
const CANDIDATE: &str = "what a candidate does when its time is over without a majority: it begins another \
     election (5.2, Figure 4)";
const TIMER: &str = "what puts off an election (Figure 2, Followers): a request of the present leader, and \
     a vote that is granted; a vote that is refused does not";
const NEVER: &str =
    "what begins an election: a timer that runs in every server that does not lead (5.2)";
const HEEDED: &str = "what resets the election timer (5.2): any AppendEntries or InstallSnapshot of the \
     leader of its term";
const TIMEOUTS: &str = "heartbeats against election timeouts (5.2): the shortest timeout is several times \
     as long as what lies between two heartbeats";
const GIVES_UP: &str = "what makes a leader step down (5.1, Figure 4): a newer term; a follower that refuses \
     entries in the same term does not";
const DIVIDED: &str = "how election timeouts are drawn (5.2): anew for each election, from a range that is \
     many times as long as a message takes";

pub(super) fn diagnose(seen: &Seen) -> Option<Diagnosis> {
    if seen.leader().is_some() {
        return terms(seen);
    }
    let votes = Votes::of(seen);
    let led = votes.elected_and_silent(seen);
    led.or_else(|| terms(seen))
        .or_else(|| votes.refused_without_reason(seen))
        .or_else(|| gave_up(seen, &votes))
        .or_else(|| does_not_campaign(seen, &votes))
        .or_else(|| votes.divided(seen))
}

/// A server that answers in an older term than it was asked in, or goes on in one.
pub(super) fn terms(seen: &Seen) -> Option<Diagnosis> {
    let knows = |call: &&Exchange| call.method != Method::Other && call.sent >= seen.from;
    let mut answers: BTreeMap<usize, Vec<(&Exchange, u64, u64)>> = BTreeMap::new();
    for call in seen.calls.iter().filter(knows) {
        if let (Some(asked), Some(told)) = (call.request.term, call.reply.term)
            && told < asked
        {
            answers.entry(call.to).or_default().push((call, asked, told));
        }
    }
    let worst =
        answers.into_iter().max_by_key(|(server, calls)| (calls.len(), usize::MAX - server));
    if let Some((server, calls)) = worst.filter(|(_, calls)| calls.len() >= OFTEN) {
        let (last, asked, told) = calls[calls.len() - 1];
        return Some(Diagnosis::new(
            format!(
                "S{server} had a request of S{} in T{asked} at {}, and answered in T{told}; {} \
                 requests of newer terms changed nothing in its own",
                last.from,
                at(last.arrived.unwrap_or(last.sent)),
                calls.len()
            ),
            TERMS,
        ));
    }
    (0..seen.run.servers).find_map(|server| goes_on(seen, server))
}

/// A server that has learned of a newer term, and makes requests in its old one.
fn goes_on(seen: &Seen, server: usize) -> Option<Diagnosis> {
    let learned = seen.calls.iter().filter_map(|call| {
        if call.from == server {
            Some((call.answered?, call.reply.term?, call.to, "answer"))
        } else if call.to == server && call.method != Method::Other {
            Some((call.arrived?, call.request.term?, call.from, "request"))
        } else {
            None
        }
    });
    let mut learned: Vec<(Micros, u64, usize, &str)> = learned.collect();
    learned.sort_unstable();
    let mut newest: Option<(Micros, u64, usize, &str)> = None;
    let (mut next, mut after) = (0, Vec::new());
    for call in seen.calls.iter().filter(|call| call.from == server) {
        while let Some(news) = learned.get(next).filter(|news| news.0 + HANDLING < call.sent) {
            if newest.is_none_or(|(_, term, ..)| news.1 > term) {
                newest = Some(*news);
            }
            next += 1;
        }
        if let (Some(newest), Some(term)) = (newest, call.request.term)
            && call.method != Method::Other
            && term < newest.1
            && call.sent >= seen.from
        {
            after.push((newest, call.sent, term));
        }
    }
    let ((learned, newer, other, how), sent, term) = *after.last()?;
    (after.len() >= OFTEN).then(|| {
        Diagnosis::new(
            format!(
                "S{server} learned of T{newer} from {how} of S{other} at {}, and still made requests \
                 in T{term} at {}",
                at(learned),
                at(sent),
                how = if how == "answer" { "an answer" } else { "a request" },
            ),
            TERMS,
        )
    })
}

/// Who campaigned last, and how long after it had heard its leader.
pub(super) fn needless(seen: &Seen) -> Option<Diagnosis> {
    let campaigned = |call: &&Exchange| call.method == Method::Vote && call.sent >= seen.from;
    let last = seen.calls.iter().rfind(campaigned)?;
    let (server, term) = (last.from, last.request.term?);
    let began = seen.calls.iter().find(|call| {
        call.from == server && call.method == Method::Vote && call.request.term == Some(term)
    })?;
    let leads = |call: &&Exchange| {
        let of = call.request.term.is_some_and(|of| of < term);
        call.to == server && call.method.leads() && of && call.sent < began.sent
    };
    let sent = seen.calls.iter().rfind(leads)?;
    let heard = seen
        .calls
        .iter()
        .filter(leads)
        .filter_map(|call| Some((call.arrived.filter(|at| *at < began.sent)?, call)))
        .max_by_key(|(at, _)| *at);
    let (arrived, heard) = heard?;
    let quiet = began.sent - arrived;
    let leader = heard.from;
    let campaigns = format!(
        "S{server} campaigned in T{term} at {}, {} after it had a request of S{leader}, which led T{}",
        at(began.sent),
        span(quiet),
        heard.request.term?
    );
    Some(if quiet < SHORTEST {
        Diagnosis::new(campaigns, HEEDED)
    } else if sent.sent > arrived {
        Diagnosis::new(
            format!("{campaigns}; a later one, sent at {}, had not arrived", at(sent.sent)),
            TIMEOUTS,
        )
    } else {
        Diagnosis::new(format!("{campaigns}; S{leader} sent it nothing in between"), TIMEOUTS)
    })
}

/// Who asked for votes, and who gave them.
struct Votes<'a> {
    /// By term and candidate, its requests.
    campaigns: BTreeMap<(u64, usize), Vec<&'a Exchange>>,
    /// By term and voter, whom it gave its vote.
    given: BTreeSet<(u64, usize)>,
}

impl<'a> Votes<'a> {
    fn of(seen: &'a Seen) -> Votes<'a> {
        let mut votes = Votes { campaigns: BTreeMap::new(), given: BTreeSet::new() };
        for call in seen.calls.iter().filter(|call| call.method == Method::Vote) {
            let Some(term) = call.request.term else { continue };
            votes.campaigns.entry((term, call.from)).or_default().push(call);
            votes.given.insert((term, call.from));
            if call.replied.is_some() && call.reply.granted != Some(false) {
                votes.given.insert((term, call.to));
            }
        }
        votes
    }

    /// A candidate that had a majority, and was not heard as a leader.
    fn elected_and_silent(&self, seen: &Seen) -> Option<Diagnosis> {
        let majority = seen.run.servers / 2 + 1;
        let mut found = Vec::new();
        for (&(term, candidate), requests) in &self.campaigns {
            let mut granted: Vec<(Micros, usize)> = requests
                .iter()
                .filter(|call| call.reply.granted == Some(true))
                .filter_map(|call| Some((call.answered?, call.to)))
                .collect();
            granted.sort_unstable();
            let mut voters = Vec::new();
            granted.retain(|(_, voter)| {
                let first = !voters.contains(voter);
                voters.push(*voter);
                first
            });
            let Some(&(won, _)) = majority.checked_sub(2).and_then(|place| granted.get(place))
            else {
                continue;
            };
            let from_then = |call: &&Exchange| call.sent >= won && call.from == candidate;
            let led = seen
                .calls
                .iter()
                .filter(from_then)
                .any(|call| call.method.leads() && call.request.term == Some(term));
            let newer = |told: Option<u64>| told.is_some_and(|told| told > term);
            let until = won + HEARD;
            let overtaken = seen.calls.iter().any(|call| {
                let soon = |at: Option<Micros>| at.is_some_and(|at| at < until);
                (call.to == candidate && newer(call.request.term) && soon(call.arrived))
                    || (call.from == candidate && newer(call.reply.term) && soon(call.answered))
                    || (call.from == candidate && newer(call.request.term) && call.sent < until)
            });
            let crashed = seen.run.events.iter().any(|event| {
                event.server == Some(candidate)
                    && event.what == What::Crashed
                    && (requests[0].sent..until).contains(&event.at)
            });
            if won >= seen.from && until < seen.until && !led && !overtaken && !crashed {
                let silent: BTreeSet<usize> = (0..seen.run.servers)
                    .filter(|server| *server != candidate)
                    .filter(|server| {
                        let mut own = requests.iter().filter(|call| call.to == *server);
                        !own.any(|call| call.answered.is_some_and(|at| at <= until))
                    })
                    .collect();
                let mut voters: Vec<usize> =
                    granted.iter().take(majority - 1).map(|(_, voter)| *voter).collect();
                voters.sort_unstable();
                found.push((won, term, candidate, voters, silent));
            }
        }
        found.sort_unstable();
        let (won, term, candidate, voters, silent): &(_, _, _, Vec<usize>, BTreeSet<usize>) =
            found.last()?;
        let silent = match silent.len() {
            0 => String::new(),
            _ => format!("; {} had not answered", list(silent.iter().copied())),
        };
        let again = match found.len() {
            1 => String::new(),
            count => format!("; {count} elections went like that"),
        };
        Some(Diagnosis::new(
            format!(
                "S{candidate} had the votes of {} and its own in T{term} at {}, {majority} of {} \
                 servers, and did not begin to lead{silent}{again}",
                list(voters.iter().copied()),
                at(*won),
                seen.run.servers
            ),
            COUNT,
        ))
    }

    /// A vote that is refused, though it was given to nobody and the candidate's log is good enough.
    fn refused_without_reason(&self, seen: &Seen) -> Option<Diagnosis> {
        let refusals = self
            .campaigns
            .iter()
            .flat_map(|((term, _), calls)| calls.iter().map(move |call| (*term, *call)));
        let unreasonable = refusals.filter_map(|(term, call)| {
            let (replied, voter) = (call.replied?, call.to);
            let own = self.last_entry_of(seen, voter, replied)?;
            let candidates = call.request.last?;
            let as_good = (candidates.1, candidates.0) >= (own.1, own.0);
            let refused = call.reply.granted == Some(false)
                && call.reply.term.is_none_or(|told| told == term);
            let free = !self.given.contains(&(term, voter));
            (refused && free && as_good && call.sent >= seen.from)
                .then_some((replied, term, call, own))
        });
        let found: Vec<_> = unreasonable.collect();
        let (replied, term, call, own) = found.iter().max_by_key(|found| found.0)?;
        let last = call.request.last?;
        Some(Diagnosis::new(
            format!(
                "S{} refused S{} its vote in T{term} at {}, had given it to nobody in that term, and \
                 its own log, which ends with {}, is no newer than the candidate's, which ends with {}",
                call.to,
                call.from,
                at(*replied),
                entry(*own),
                entry(last)
            ),
            VOTES,
        ))
    }

    /// The last entry of this server's log, if it said so when it campaigned last and has heard no
    /// leader since, nor crashed.
    fn last_entry_of(&self, seen: &Seen, server: usize, now: Micros) -> Option<(u64, u64)> {
        let own = self.campaigns.iter().filter(|((_, candidate), _)| *candidate == server);
        let asked = own.flat_map(|(_, calls)| calls).filter(|call| call.sent < now);
        let last = asked.max_by_key(|call| call.sent)?;
        let heard = seen.calls.iter().any(|call| {
            call.method.leads()
                && (call.to == server || call.from == server)
                && call.arrived.unwrap_or(call.sent) > last.sent
                && call.sent < now
        });
        let changed = seen.run.events.iter().any(|event| {
            event.server == Some(server)
                && matches!(event.what, What::Crashed | What::Command { .. })
                && (last.sent..now).contains(&event.at)
        });
        last.request.last.filter(|_| !heard && !changed)
    }

    /// Elections in which two or more candidates began together.
    fn divided(&self, seen: &Seen) -> Option<Diagnosis> {
        let mut terms: BTreeMap<u64, Vec<(Micros, usize)>> = BTreeMap::new();
        for ((term, candidate), calls) in &self.campaigns {
            let began = calls[0].sent;
            if began >= seen.from {
                terms.entry(*term).or_default().push((began, *candidate));
            }
        }
        let together = |began: &&Vec<(Micros, usize)>| {
            let first = began.iter().min().map_or(0, |(at, _)| *at);
            began.iter().filter(|(at, _)| *at <= first + TOGETHER).count() > 1
        };
        let divided = terms.values().filter(together).count();
        if divided < OFTEN || divided * 2 < terms.len() {
            return None;
        }
        let (term, began) = terms.iter().rfind(|(_, began)| together(began))?;
        let mut began = began.clone();
        began.sort_unstable();
        Some(Diagnosis::new(
            format!(
                "in {divided} of {} elections two servers or more began within {} of each other, and \
                 divided the votes: at last {} in T{term}, at {}",
                terms.len(),
                span(TOGETHER),
                list(began.iter().map(|(_, server)| *server)),
                at(began[0].0)
            ),
            DIVIDED,
        ))
    }
}

/// Leaders that were answered, heard of no newer term, and campaigned all the same.
fn gave_up(seen: &Seen, votes: &Votes) -> Option<Diagnosis> {
    let mut found = Vec::new();
    for (&(term, server), asked) in &votes.campaigns {
        let began = asked[0].sent;
        let mut led = seen.calls.iter().filter(|call| {
            call.from == server
                && call.method.leads()
                && call.sent < began
                && call.sent >= seen.from
        });
        let Some(last) = led.next_back() else { continue };
        let of = last.request.term.unwrap_or(0);
        let newer = |told: Option<u64>, at: Option<Micros>| {
            told.is_some_and(|told| told > of) && at.is_some_and(|at| at < began)
        };
        let learned = seen.calls.iter().any(|call| {
            (call.to == server && newer(call.request.term, call.arrived))
                || (call.from == server && newer(call.reply.term, call.answered))
        });
        let answered = seen.calls.iter().rfind(|call| {
            let lately = |at: Micros| at >= last.sent && at < began;
            call.from == server && call.method.leads() && call.answered.is_some_and(lately)
        });
        if let Some(answered) = answered.filter(|_| !learned && of + 1 == term) {
            found.push((began, server, of, answered));
        }
    }
    let &(began, server, term, answered) = found.iter().max_by_key(|found| found.0)?;
    if found.len() < OFTEN {
        return None;
    }
    let refused = if answered.reply.success == Some(false) { ", with a refusal" } else { "" };
    Some(Diagnosis::new(
        format!(
            "S{server} led T{term}, had an answer of S{} at {}{refused}, heard of no newer term, and \
             campaigned at {}; {} leaders gave up like that",
            answered.to,
            at(answered.answered.unwrap_or(answered.sent)),
            at(began),
            found.len()
        ),
        GIVES_UP,
    ))
}

/// A server that hears no leader, and does not campaign.
fn does_not_campaign(seen: &Seen, votes: &Votes) -> Option<Diagnosis> {
    let idle = (0..seen.run.servers).filter(|server| seen.up[*server]);
    let mut idle: Vec<(Micros, usize)> =
        idle.map(|server| (last_reason(seen, server), server)).collect();
    idle.sort_unstable();
    let (since, server) = *idle.first().filter(|(since, _)| since + LONGEST < seen.until)?;
    let last = |wanted: &dyn Fn(&Exchange) -> bool| {
        seen.calls.iter().rfind(|call| call.from == server && wanted(call))
    };
    let led = last(&|call| call.method.leads());
    let asked = votes.campaigns.iter().rfind(|((_, candidate), _)| *candidate == server);
    let asked = asked.and_then(|(_, calls)| calls.first());
    let quiet = span(seen.until - since);
    let refused = seen
        .calls
        .iter()
        .filter(|call| call.to == server && call.method == Method::Vote)
        .filter(|call| call.replied.is_some_and(|at| at > since))
        .count();
    let refused = match refused {
        0 => String::new(),
        count => {
            format!("; it was asked for its vote {} meanwhile, and refused it", times(count))
        }
    };
    // What it did last as long as it did something.
    let (what, hint) = match (led, asked) {
        (Some(led), asked) if asked.is_none_or(|asked| asked.sent < led.sent) => {
            (format!("S{server} led T{}", led.request.term?), STEPPED_DOWN)
        }
        (_, Some(asked)) if asked.sent == since => (
            format!("S{server} asked for votes in T{} at {}", asked.request.term?, at(asked.sent)),
            CANDIDATE,
        ),
        _ if !refused.is_empty() => (format!("S{server} follows"), TIMER),
        _ => (format!("S{server} follows"), NEVER),
    };
    let later = |calls: &[&Exchange]| calls.iter().any(|call| call.sent > since);
    let others: BTreeSet<usize> = votes
        .campaigns
        .iter()
        .filter(|((_, candidate), calls)| *candidate != server && later(calls))
        .map(|((_, candidate), _)| *candidate)
        .collect();
    let others = if others.is_empty() {
        "no other server campaigned".to_owned()
    } else {
        format!("{} campaigned without success", list(others))
    };
    Some(Diagnosis::new(
        format!(
            "{what}, and has not campaigned for {quiet}, though it heard no leader in that time; {others}\
             {refused}"
        ),
        hint,
    ))
}

/// When this server last had a reason to wait for an election: it started, led, campaigned, heard the
/// leader of its term or a later one, or gave its vote.
fn last_reason(seen: &Seen, server: usize) -> Micros {
    let mut term = 0;
    let mut last = seen.started(server);
    for call in &seen.calls {
        let own = call.from == server && call.method != Method::Other;
        let granted =
            call.to == server && call.method == Method::Vote && call.reply.granted != Some(false);
        let led = call.to == server && call.method.leads() && call.request.term >= Some(term);
        if own {
            // A candidate may ask the same servers once more, and that is no new election.
            if call.method.leads() || call.request.term > Some(term) {
                last = last.max(call.sent);
            }
            term = term.max(call.request.term.unwrap_or(0));
        } else if granted {
            last = last.max(call.replied.unwrap_or(0));
        } else if led {
            last = last.max(call.arrived.unwrap_or(0));
        }
    }
    last
}

fn entry((index, term): (u64, u64)) -> String {
    if index == 0 { "nothing".to_owned() } else { format!("T{term}:i{index}") }
}
