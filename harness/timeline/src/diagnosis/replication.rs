//! A leader, and a follower that does not get what it lacks (Raft 5.3, 7).

use std::collections::BTreeSet;

use crate::model::Micros;
use crate::rules::talk::Method;

use super::seen::{Exchange, Seen};
use super::{Diagnosis, at, list, span};

/// What is done so often after the answer that forbids it is not done by chance.
const OFTEN: usize = 3;

/// A request may have been on its way out when an answer came.
const HANDLING: Micros = 2_000;

/// A leader that steps back one entry at a time is slow when it takes so many steps.
const STEPS: usize = 8;

/// A follower that has what it is told is committed applies it within this time.
const APPLIES: Micros = 500_000;

const NEXT_INDEX: &str = "how next_index moves when a follower refuses (5.3): each refusal must take it \
     back, so that the next request follows an earlier entry";
const HOLDS: &str = "what a follower compares with prev_log_index and prev_log_term (5.3, 7): the entry \
     at that index, which can be the last one of its snapshot";
const NEEDS_SNAPSHOT: &str = "when a leader sends its snapshot (7): when a follower lacks entries that its \
     log no longer holds";
const FIRST_ENTRY: &str = "what a follower does with a request whose prev_log_index is 0: every log holds \
     that (5.3)";
const SUCCESS: &str = "what a leader does with a success (5.3): next_index and match_index of that \
     follower rise to what it was sent";
const ANSWER: &str = "what a leader does with an answer (5.3): a refusal takes next_index back, a success \
     takes next_index and match_index forward";
const INSTALLED: &str = "what a leader does with the answer to InstallSnapshot (7): next_index and \
     match_index of that follower rise to the snapshot's last entry";
const AFTER_SNAPSHOT: &str = "what a follower keeps of a snapshot (7): the index and the term of its last \
     entry, to which the next AppendEntries is compared";
const SLOW: &str = "what a leader does right after a refusal (5.3): it sends again without waiting for \
     the next heartbeat; and a follower can say how far to go back";
const NEXT_FROM: &str = "where next_index and match_index come from (5.3): from prev_log_index and the \
     number of entries of the request that was accepted, and not from the ends of logs";
const COMMIT: &str = "when a leader commits (5.3, 5.4.2): as soon as a majority of all servers, itself \
     included, holds an entry of its own term, whatever the others do";
const TOLD: &str = "what a server does with the commit index (Figure 2): a follower also takes it from a \
     request without entries, and what is committed is applied";
const HANDLERS: &str = "what a handler waits for: a lock that is held during a call, or while something \
     is sent on the apply channel";

pub(super) fn diagnose(seen: &Seen) -> Option<Diagnosis> {
    let (leader, term) = seen.leader()?;
    let followers: Vec<usize> =
        (0..seen.run.servers).filter(|server| *server != leader && seen.up[*server]).collect();
    let pair = |follower: usize| Pair {
        seen,
        leader,
        term,
        follower,
        calls: seen.led(leader, term, follower),
    };
    let pairs: Vec<Pair> = followers.into_iter().map(pair).collect();
    let first = |pattern: &dyn Fn(&Pair) -> Option<Diagnosis>| {
        pairs.iter().find_map(|pair| Some(pair.lacking(pattern(pair)?)))
    };
    first(&|pair| pair.next_jumped())
        .or_else(|| first(&|pair| pair.snapshot_again()))
        .or_else(|| first(&|pair| pair.same_again()))
        .or_else(|| first(&|pair| pair.back_step_by_step()))
        .or_else(|| first(&|pair| pair.answers_nothing()))
        .or_else(|| first(&|pair| pair.never_sent()))
        .or_else(|| not_committed(seen, &pairs))
        .or_else(|| pairs.iter().find_map(Pair::not_applied))
}

/// A leader of a term, and one of its followers.
struct Pair<'a> {
    seen: &'a Seen<'a>,
    leader: usize,
    term: u64,
    follower: usize,
    /// What it was sent in that term.
    calls: Vec<&'a Exchange>,
}

impl Pair<'_> {
    /// Those made since what failed began to be waited for.
    fn recent(&self) -> impl Iterator<Item = &&Exchange> {
        self.calls.iter().filter(|call| call.sent >= self.seen.from)
    }

    /// Adds which entries the follower lacks.
    fn lacking(&self, diagnosis: Diagnosis) -> Diagnosis {
        let (follower, leader) = (self.seen.applied(self.follower), self.seen.applied(self.leader));
        if follower >= leader {
            return diagnosis;
        }
        let lacks = format!(
            "; S{} has applied its log up to i{follower}, S{} up to i{leader}",
            self.follower, self.leader
        );
        Diagnosis { seen: diagnosis.seen + &lacks, ..diagnosis }
    }

    /// A request follows an entry that is beyond all that this follower was sent.
    fn next_jumped(&self) -> Option<Diagnosis> {
        let first = self.calls.iter().find(|call| call.method == Method::Append)?;
        let mut sent = first.end();
        let mut last: Option<&Exchange> = None;
        for call in &self.calls {
            if let Some((prev, _)) = call.request.prev
                && prev > sent
                && call.method == Method::Append
            {
                // One that needs a snapshot, and is sent what follows it.
                let base = self.seen.snapshot_of(self.leader).filter(|base| *base >= prev);
                // A leader may compare with the end of its snapshot before it sends that.
                if base.is_some() && (call.answered.is_none() || self.is_installing()) {
                    sent = sent.max(call.end());
                    continue;
                }
                if let Some(base) = base {
                    return Some(Diagnosis::new(
                        format!(
                            "S{} in T{} sent S{} what follows i{prev} at {}, had sent it its log up to \
                             i{sent} before, and has a snapshot up to i{base}, which it did not send",
                            self.leader,
                            self.term,
                            self.follower,
                            at(call.sent)
                        ),
                        NEEDS_SNAPSHOT,
                    ));
                }
                let (leader, follower, term) = (self.leader, self.follower, self.term);
                let answer = last.and_then(|last| self.seen.reply_text(last));
                let answer = answer
                    .map_or(String::new(), |text| format!("; S{follower} had answered {text}"));
                return Some(Diagnosis::new(
                    format!(
                        "S{leader} in T{term} takes i{} as the next to send to S{follower} at {}, and \
                         had sent it its log up to i{sent} only{answer}",
                        prev + 1,
                        at(call.sent)
                    ),
                    NEXT_FROM,
                ));
            }
            sent = sent.max(call.end());
            if call.answered.is_some() {
                last = Some(call);
            }
        }
        None
    }

    /// Is a snapshot sent in this term?
    fn is_installing(&self) -> bool {
        self.calls.iter().any(|call| call.method == Method::Install)
    }

    /// The same snapshot, after it was answered.
    fn snapshot_again(&self) -> Option<Diagnosis> {
        let installs: Vec<&Exchange> =
            self.recent().copied().filter(|call| call.method == Method::Install).collect();
        let last = installs.last()?;
        let same: Vec<&Exchange> = installs
            .iter()
            .copied()
            .filter(|call| call.request.snapshot == last.request.snapshot)
            .collect();
        let answered = same.iter().filter_map(|call| call.answered).min()?;
        let again = same.iter().filter(|call| call.sent > answered + HANDLING).count();
        if again < OFTEN {
            return None;
        }
        let (leader, follower, index) = (self.leader, self.follower, last.end());
        let refused = self
            .recent()
            .any(|call| call.refused() && call.request.prev.is_some_and(|(prev, _)| prev == index));
        let often = format!(
            "S{leader} sent S{follower} its snapshot up to i{index} {} times from {} on",
            same.len(),
            at(same[0].sent)
        );
        Some(if refused {
            Diagnosis::new(
                format!("{often}; S{follower} answered, and then refused what follows i{index}"),
                AFTER_SNAPSHOT,
            )
        } else {
            Diagnosis::new(
                format!("{often}; {again} of these although S{follower} had answered one before"),
                INSTALLED,
            )
        })
    }

    /// Entries after the same one, although that was refused or accepted.
    fn same_again(&self) -> Option<Diagnosis> {
        let appends: Vec<&Exchange> =
            self.recent().copied().filter(|call| call.method == Method::Append).collect();
        let prev = appends.last()?.request.prev?;
        let same: Vec<&Exchange> =
            appends.into_iter().filter(|call| call.request.prev == Some(prev)).collect();
        let (leader, follower, (index, term)) = (self.leader, self.follower, prev);
        let again = |same: &[&Exchange],
                     answer: &dyn Fn(&Exchange) -> bool,
                     repeated: &dyn Fn(&Exchange) -> bool| {
            let answered =
                same.iter().filter(|call| answer(call)).filter_map(|call| call.answered).min()?;
            let again: Vec<&&Exchange> = same
                .iter()
                .filter(|call| call.sent > answered + HANDLING && repeated(call))
                .collect();
            let (first, last) = (again.first()?, again.last()?);
            (again.len() >= OFTEN).then(|| {
                format!(
                    "S{leader} sent S{follower} AppendEntries that follow {} {} times in {}",
                    if index == 0 { "i0".to_owned() } else { format!("T{term}:i{index}") },
                    again.len(),
                    span(last.sent - first.sent)
                )
            })
        };
        // What was refused and then accepted is settled.
        let settled = same.iter().rposition(|call| call.accepted()).map_or(0, |place| place + 1);
        if let Some(first) = same[settled..].first()
            && let Some(often) = again(&same[settled..], &Exchange::refused, &Exchange::refused)
        {
            return Some(self.refused_again(&often, prev, first.sent));
        }
        // A server that accepts entries is not sent them again.
        let accepted = |call: &Exchange| call.accepted() && call.is_loaded();
        if let Some(often) = again(&same, &accepted, &Exchange::is_loaded) {
            return Some(Diagnosis::new(
                format!("{often}, although S{follower} had accepted them"),
                SUCCESS,
            ));
        }
        let unknown =
            |call: &Exchange| call.reply.success.is_none() && call.reply.term == Some(self.term);
        let often = again(&same, &unknown, &Exchange::is_loaded)?;
        Some(Diagnosis::new(format!("{often}, and S{follower} had answered"), ANSWER))
    }

    /// Requests that follow this entry are refused again and again since then: why, as far as can be
    /// told.
    fn refused_again(&self, often: &str, (index, term): (u64, u64), since: Micros) -> Diagnosis {
        let (leader, follower) = (self.leader, self.follower);
        let follows = |call: &&&Exchange| call.request.prev == Some((index, term));
        let (before, _) = self.calls.split_at(self.calls.partition_point(|call| call.sent < since));
        let ends = |calls: &[&Exchange]| {
            let known = calls.iter().filter(|call| call.accepted() && call.end() < u64::MAX);
            known.map(|call| (call.end(), call.call)).max()
        };
        let refused = format!("{often}, and S{follower} refused them");
        if index == 0 {
            return Diagnosis::new(refused, FIRST_ENTRY);
        }
        let installed = before.iter().any(|call| {
            call.method == Method::Install && call.answered.is_some() && call.end() == index
        });
        if installed {
            return Diagnosis::new(
                format!("{refused}; it had answered the snapshot up to i{index}"),
                AFTER_SNAPSHOT,
            );
        }
        if let Some(base) = self.seen.snapshot_of(leader).filter(|base| *base >= index) {
            return Diagnosis::new(
                format!(
                    "{refused}; S{leader} has a snapshot up to i{base}, which it did not send, and its \
                     log without what that includes"
                ),
                NEEDS_SNAPSHOT,
            );
        }
        if let Some((end, _)) = ends(before).filter(|(end, _)| *end >= index) {
            return Diagnosis::new(
                format!(
                    "{refused}, although it had accepted that its log is S{leader}'s up to i{end}"
                ),
                HOLDS,
            );
        }
        // The last answer before was a success, and what came next follows a later entry.
        let jumped = before.iter().rposition(|call| call.accepted() && call.end() < index);
        if let Some(place) = jumped
            .filter(|place| before[*place..].iter().all(|call| call.end() <= before[*place].end()))
        {
            let accepted = before[place];
            let answer = self.seen.reply_text(accepted);
            let answer = answer.map_or(String::new(), |text| format!(" ({text})"));
            return Diagnosis::new(
                format!(
                    "{refused}. Right before these it had accepted a request that goes up to i{} \
                     only{answer}",
                    accepted.end()
                ),
                NEXT_FROM,
            );
        }
        let last = self.calls.iter().rfind(|call| follows(call) && call.refused());
        let answer = last.and_then(|last| self.seen.reply_text(last));
        let answer = answer.map_or(String::new(), |text| format!(", at last with {text}"));
        Diagnosis::new(refused + &answer, NEXT_INDEX)
    }

    /// One entry back for each request, and not at once.
    fn back_step_by_step(&self) -> Option<Diagnosis> {
        let appends: Vec<&&Exchange> =
            self.recent().filter(|call| call.method == Method::Append).collect();
        let (mut steps, mut began) = (0, None);
        let (mut waited, mut longest) = (0, None);
        for two in appends.windows(2) {
            let (Some(before), Some(after)) = (two[0].request.prev, two[1].request.prev) else {
                continue;
            };
            let answered = two[0].answered.filter(|at| two[0].refused() && *at <= two[1].sent);
            match answered {
                Some(answered) if before.0 == after.0 + 1 => {
                    began.get_or_insert((two[0].sent, before.0));
                    steps += 1;
                    waited += two[1].sent - answered;
                    if let Some((since, from)) = began {
                        longest = Some((steps, since, from, two[1].sent, after.0, waited));
                    }
                }
                _ if before == after && !two[0].accepted() => {}
                _ => (steps, began, waited) = (0, None, 0),
            }
        }
        let (steps, since, from, until, to, waited) = longest?;
        let wait = waited / steps as u64;
        if steps < STEPS || wait < 20_000 {
            return None;
        }
        let (leader, follower) = (self.leader, self.follower);
        Some(Diagnosis::new(
            format!(
                "S{leader} looked for what S{follower} shares with it from i{from} down to i{to}, one entry \
                 a request, which took {}: each time it waited {} after the refusal",
                span(until - since),
                span(wait)
            ),
            SLOW,
        ))
    }

    /// Requests that arrive, and no reply.
    fn answers_nothing(&self) -> Option<Diagnosis> {
        let arrived: Vec<&&Exchange> =
            self.recent().filter(|call| call.arrived.is_some()).collect();
        let unanswered = arrived.iter().filter(|call| call.replied.is_none()).count();
        (unanswered > 2 * OFTEN && unanswered == arrived.len()).then(|| {
            Diagnosis::new(
                format!(
                    "S{} received {unanswered} requests of S{}, which leads T{}, from {} on, and \
                     answered none",
                    self.follower,
                    self.leader,
                    self.term,
                    at(arrived[0].sent)
                ),
                HANDLERS,
            )
        })
    }

    /// An entry that the follower lacks and is not sent, although it answers.
    fn never_sent(&self) -> Option<Diagnosis> {
        let (index, since) = self.seen.command(self.leader, self.term)?;
        let (leader, follower) = (self.leader, self.follower);
        if self.seen.applied(follower) >= index || self.calls.iter().any(|call| call.end() >= index)
        {
            return None;
        }
        let answered =
            self.calls.iter().filter(|call| call.answered.is_some_and(|t| t > since)).count();
        let last = self.calls.iter().rev().find(|call| call.method == Method::Append)?;
        let (prev, _) = last.request.prev?;
        (answered >= OFTEN).then(|| {
            Diagnosis::new(
                format!(
                    "S{leader} took T{}:i{index} at {} and has not sent it to S{follower}, which \
                     has answered {answered} requests since; the last of them follows i{prev}",
                    self.term,
                    at(since)
                ),
                NEXT_INDEX,
            )
        })
    }

    /// What is committed and stored is not applied.
    fn not_applied(&self) -> Option<Diagnosis> {
        let holds =
            self.calls.iter().filter(|call| call.accepted()).map(|call| call.end()).max()?;
        let told = self.calls.iter().find(|call| {
            let commit = call.request.commit.unwrap_or_default().min(holds);
            call.accepted()
                && commit > self.seen.applied(self.follower)
                && call.sent > self.seen.started(self.follower)
                && call.sent + APPLIES < self.seen.until
        })?;
        let commit = told.request.commit?.min(holds);
        let empty = if told.is_loaded() { "" } else { ", in a request without entries" };
        Some(Diagnosis::new(
            format!(
                "S{} holds i{commit} and was told at {} that it is committed{empty}, and has \
                 applied its log up to i{} only",
                self.follower,
                at(told.sent),
                self.seen.applied(self.follower)
            ),
            TOLD,
        ))
    }
}

/// An entry of the leader's term that a majority holds, and that is not committed.
fn not_committed(seen: &Seen, pairs: &[Pair]) -> Option<Diagnosis> {
    let Pair { leader, term, .. } = *pairs.first()?;
    let (index, _) = seen.command(leader, term)?;
    let mut holders: Vec<(Micros, usize)> = pairs
        .iter()
        .filter_map(|pair| {
            let accepts =
                |call: &&&Exchange| call.accepted() && call.end() >= index && call.end() < u64::MAX;
            let first = pair.calls.iter().filter(accepts).filter_map(|call| call.answered).min();
            Some((first?, pair.follower))
        })
        .collect();
    holders.sort_unstable();
    let (since, _) = *holders.get((seen.run.servers / 2).checked_sub(1)?)?;
    let in_time: BTreeSet<usize> =
        holders.iter().filter(|(at, _)| *at <= since).map(|(_, server)| *server).collect();
    let later: Vec<u64> = pairs
        .iter()
        .flat_map(|pair| &pair.calls)
        .filter(|call| call.sent > since + APPLIES)
        .filter_map(|call| call.request.commit)
        .collect();
    let commit = *later.iter().max()?;
    (later.len() >= OFTEN && commit < index).then(|| {
        Diagnosis::new(
            format!(
                "{} had accepted T{term}:i{index} by {}, and S{leader} itself holds it: {} of {} \
                 servers; S{leader} still tells that i{commit} is committed, and no more",
                list(in_time.iter().copied()),
                at(since),
                in_time.len() + 1,
                seen.run.servers
            ),
            COMMIT,
        )
    })
}
