//! Runs written by hand that make no progress: what is said of them, and that a run in which nothing
//! repeats is not given a reason.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use timeline::model::{Call, Check, Event, Fate, Leg, Micros, Verdict, What};
use timeline::{Diagnosis, Run};

const VOTE: usize = 0;
const APPEND: usize = 1;
const INSTALL: usize = 2;

/// One second.
const S: Micros = 1_000_000;

/// A run that is written message by message. A message takes 100 us.
struct Script(Run);

impl Script {
    fn of(servers: usize) -> Script {
        let methods = ["Raft.RequestVote", "Raft.AppendEntries", "Raft.InstallSnapshot"];
        let mut script = Script(Run {
            version: Run::VERSION,
            servers,
            peers: (0..servers).map(|server| format!("S{server}")).collect(),
            methods: methods.map(str::to_owned).to_vec(),
            ..Run::default()
        });
        (0..servers).for_each(|server| script.event(1, server, What::Started));
        script
    }

    fn event(&mut self, at: Micros, server: usize, what: What) {
        self.0.events.push(Event { at, server: Some(server), task: None, what });
    }

    fn leg(&mut self, sent: Micros, text: &str) -> Leg {
        self.0.contents.push(text.to_owned());
        let content = Some(self.0.contents.len() - 1);
        Leg { sent, arrived: Some(sent + 100), fate: Fate::Usual, bytes: 8, content }
    }

    /// A request, and its answer.
    fn call(&mut self, at: Micros, (from, to): (usize, usize), method: usize, texts: [&str; 2]) {
        let request = self.leg(at, texts[0]);
        let reply = Some(self.leg(at + 110, texts[1]));
        self.0.calls.push(Call { from, to, method, request, reply, copies: vec![] });
    }

    /// A request that does not arrive.
    fn lost(&mut self, at: Micros, (from, to): (usize, usize), method: usize, text: &str) {
        let request = Leg { arrived: None, fate: Fate::NoPath, ..self.leg(at, text) };
        self.0.calls.push(Call { from, to, method, request, reply: None, copies: vec![] });
    }

    /// An append of S0, which leads T3, after an entry of T1: `count` entries; and what is answered.
    fn append(&mut self, at: Micros, to: usize, (prev, count): (u64, usize), answer: &str) {
        let entries = vec![r#"{"term":3,"command":"x"}"#; count].join(",");
        let request = format!(
            r#"{{"term":3,"prev":{{"term":1,"index":{prev}}},"entries":[{entries}],"leader_commit":0}}"#
        );
        self.call(at, (0, to), APPEND, [&request, answer]);
    }

    fn applied(&mut self, at: Micros, server: usize, index: u64) {
        self.event(at, server, What::Applied { index, term: 3, command: String::new() });
    }

    /// What is said of it, if it fails at that time of what was waited for since a second.
    fn fails(self, kind: &str, title: &str, at: Micros) -> Option<(String, String)> {
        let mut run = self.0;
        run.checks.push(Check { from: S, to: at, what: String::new(), ok: false });
        run.end = at;
        let (kind, title) = (kind.to_owned(), title.to_owned());
        run.verdict = Some(Verdict { kind, title, at, ..Verdict::default() });
        Diagnosis::of(&run).map(|diagnosis| (diagnosis.seen, diagnosis.hint))
    }

    #[track_caller]
    fn is(self, title: &str, at: Micros, seen: &str, hint: &str) {
        let found = self.fails("liveness", title, at).unwrap();
        assert_eq!(found.0, seen);
        assert!(found.1.contains(hint), "{}", found.1);
    }
}

const YES: &str = r#"{"term":3,"success":true}"#;
const NO: &str = r#"{"term":3,"success":false}"#;

#[test]
fn next_index_that_never_moves() {
    let mut script = Script::of(3);
    script.applied(S, 0, 9);
    script.applied(S, 1, 2);
    for step in 0..20 {
        script.append(S + step * 100_000, 1, (9, 1), NO);
        script.append(S + step * 100_000, 2, (9, 0), YES);
    }
    script.is(
        "no agreement",
        3 * S,
        "S0 sent S1 AppendEntries that follow T1:i9 19 times in 1.8 s, and S1 refused them, at last \
         with {\"term\":3,\"success\":false}; S1 has applied its log up to i2, S0 up to i9",
        "how next_index moves when a follower refuses",
    );
}

#[test]
fn what_is_refused_once_and_then_accepted_is_settled() {
    let mut script = Script::of(3);
    script.append(S, 1, (9, 0), NO);
    script.append(S + 10_000, 1, (8, 1), YES);
    for step in 1..20 {
        script.append(S + step * 100_000, 1, (9, 0), YES);
    }
    assert_eq!(script.fails("liveness", "no agreement", 3 * S), None);
}

#[test]
fn a_snapshot_that_is_not_sent() {
    let mut script = Script::of(3);
    script.event(S, 0, What::Snapshot { index: 9 });
    for step in 0..20 {
        script.append(S + step * 100_000, 1, (9, 1), NO);
    }
    script.is(
        "no agreement",
        3 * S,
        "S0 sent S1 AppendEntries that follow T1:i9 19 times in 1.8 s, and S1 refused them; S0 has a \
         snapshot up to i9, which it did not send, and its log without what that includes",
        "when a leader sends its snapshot",
    );
}

#[test]
fn what_follows_a_snapshot_that_is_not_sent() {
    let mut script = Script::of(3);
    script.append(S, 1, (1, 1), YES);
    script.event(2 * S, 0, What::Snapshot { index: 9 });
    script.append(3 * S, 1, (9, 1), NO);
    script.is(
        "no agreement",
        4 * S,
        "S0 in T3 sent S1 what follows i9 at 3.000 s, had sent it its log up to i2 before, and has a snapshot \
         up to i9, which it did not send",
        "when a leader sends its snapshot",
    );
}

#[test]
fn a_leader_that_steps_down_when_it_is_refused() {
    let mut script = Script::of(3);
    for term in 3..7 {
        let at = (term - 2) * S;
        let request = format!(r#"{{"term":{term},"prev":{{"term":1,"index":9}},"entries":[]}}"#);
        let reply = format!(r#"{{"term":{term},"success":false}}"#);
        script.call(at, (0, 1), APPEND, [&request, &reply]);
        vote(&mut script, at + 500_000, (0, 1), term + 1, false);
    }
    script.is(
        "no leader",
        7 * S,
        "S0 led T6, had an answer of S1 at 4.000 s, with a refusal, heard of no newer term, and campaigned at \
         4.500 s; 4 leaders gave up like that",
        "what makes a leader step down",
    );
}

#[test]
fn a_leader_that_steps_back_with_each_refusal_is_not_blamed() {
    let mut script = Script::of(3);
    for step in 0..20 {
        script.append(S + step * 1_000, 1, (30 - step, 1), NO);
        script.append(S + step * 1_000, 2, (30, 0), YES);
    }
    assert_eq!(script.fails("liveness", "no agreement", S + 200_000), None);
}

#[test]
fn one_step_back_for_each_heartbeat() {
    let mut script = Script::of(3);
    for step in 0..20 {
        script.append(S + step * 100_000, 1, (30 - step, 1), NO);
    }
    script.is(
        "no agreement",
        3 * S,
        "S0 looked for what S1 shares with it from i30 down to i11, one entry a request, which took \
         1.9 s: each time it waited 99 ms after the refusal",
        "without waiting for the next heartbeat",
    );
}

#[test]
fn a_follower_that_acknowledges_the_end_of_its_own_log() {
    let mut script = Script::of(3);
    script.append(S, 1, (4, 0), r#"{"term":3,"success":true,"last":34}"#);
    for step in 1..20 {
        script.append(S + step * 100_000, 1, (14, 1), NO);
    }
    // It was sent more before, which did not arrive.
    let text = r#"{"term":3,"prev":{"term":1,"index":4},"entries":[{"term":3},{"term":3},{"term":3},{"term":3},{"term":3},{"term":3},{"term":3},{"term":3},{"term":3},{"term":3}]}"#;
    script.lost(S / 2, (0, 1), APPEND, text);
    script.is(
        "no agreement",
        3 * S,
        "S0 sent S1 AppendEntries that follow T1:i14 18 times in 1.7 s, and S1 refused them. Right before \
         these it had accepted a request that goes up to i4 only ({\"term\":3,\"success\":true,\"last\":34})",
        "where next_index and match_index come from",
    );
}

#[test]
fn an_answer_to_a_snapshot_that_is_ignored() {
    let mut script = Script::of(3);
    let request = r#"{"term":3,"last_included":{"term":1,"index":9},"data":"..."}"#;
    for step in 0..10 {
        script.call(S + step * 100_000, (0, 1), INSTALL, [request, r#"{"term":3}"#]);
    }
    script.is(
        "no agreement",
        2 * S,
        "S0 sent S1 its snapshot up to i9 10 times from 1.000 s on; 9 of these although S1 had answered \
         one before",
        "what a leader does with the answer to InstallSnapshot",
    );
}

#[test]
fn an_entry_that_a_majority_holds_and_that_is_not_committed() {
    let mut script = Script::of(3);
    script.event(S, 0, What::Command { index: 5, term: 3, command: "x".to_owned() });
    script.append(S, 1, (4, 1), YES);
    for step in 1..20 {
        script.append(S + step * 100_000, 1, (5, 0), YES);
    }
    script.is(
        "no agreement",
        3 * S,
        "S1 had accepted T3:i5 by 1.000 s, and S0 itself holds it: 2 of 3 servers; S0 still tells that i0 is \
         committed, and no more",
        "when a leader commits",
    );
}

/// Asks for a vote, which is given or refused.
fn vote(script: &mut Script, at: Micros, (from, to): (usize, usize), term: u64, granted: bool) {
    let request = format!(r#"{{"term":{term},"last":{{"term":1,"index":1}}}}"#);
    let reply = format!(r#"{{"term":{term},"granted":{granted}}}"#);
    script.call(at, (from, to), VOTE, [&request, &reply]);
}

#[test]
fn votes_that_are_counted_when_all_have_answered() {
    let mut script = Script::of(3);
    for term in 1..5 {
        let at = term * S;
        vote(&mut script, at, (0, 1), term, true);
        script.lost(at, (0, 2), VOTE, &format!(r#"{{"term":{term}}}"#));
    }
    script.is(
        "no leader",
        5 * S,
        "S0 had the votes of S1 and its own in T4 at 4.000 s, 2 of 3 servers, and did not begin to lead; S2 \
         had not answered; 4 elections went like that",
        "when votes are counted",
    );
}

#[test]
fn a_leader_that_was_elected_is_not_blamed() {
    let mut script = Script::of(3);
    vote(&mut script, S, (0, 1), 1, true);
    script.lost(S + 250, (0, 2), APPEND, r#"{"term":1,"prev":{"term":0,"index":0},"entries":[]}"#);
    assert_eq!(script.fails("liveness", "no leader", 2 * S), None);
}

#[test]
fn a_leader_that_never_campaigns_again() {
    let mut script = Script::of(2);
    script.append(S, 1, (9, 0), YES);
    for term in 4..8 {
        vote(&mut script, (term - 2) * S, (1, 0), term, false);
    }
    script.is(
        "no agreement",
        6 * S,
        "S0 led T3, and has not campaigned for 5.0 s, though it heard no leader in that time; S1 \
         campaigned without success; it was asked for its vote 4 times meanwhile, and refused it",
        "what a leader does when it steps down",
    );
}

#[test]
fn a_candidate_that_stands_once() {
    let mut script = Script::of(2);
    vote(&mut script, 2 * S, (0, 1), 4, false);
    script.is(
        "no leader",
        6 * S,
        "S1 follows, and has not campaigned for 5.9 s, though it heard no leader in that time; S0 \
         campaigned without success; it was asked for its vote once meanwhile, and refused it",
        "what puts off an election",
    );
    let mut script = Script::of(2);
    vote(&mut script, 2 * S, (0, 1), 4, true);
    script.lost(S, (0, 1), VOTE, r#"{"term":4}"#);
    let found = script.fails("liveness", "no leader", 6 * S).unwrap();
    assert!(found.0.starts_with("S0 had the votes of S1"), "{}", found.0);
}

#[test]
fn a_newer_term_that_is_not_taken_over() {
    let mut script = Script::of(3);
    for term in 5..9 {
        let request = format!(r#"{{"term":{term}}}"#);
        let reply = r#"{"term":3,"granted":false}"#;
        script.call((term - 3) * S, (0, 1), VOTE, [&request, reply]);
    }
    let last = "S1 had a request of S0 in T8 at 5.000 s, and answered in T3; 4 requests of newer terms \
                changed nothing in its own";
    for title in ["no leader", "a needless election", "the term keeps changing"] {
        Script(script.0.clone()).is(title, 6 * S, last, "what a server does with a newer term");
    }
}

#[test]
fn a_vote_that_is_refused_to_a_better_log() {
    let mut script = Script::of(3);
    let asks = |term, last: [u64; 2]| {
        format!(r#"{{"term":{term},"last":{{"index":{},"term":{}}}}}"#, last[0], last[1])
    };
    script.call(S, (1, 0), VOTE, [&asks(3, [9, 1]), r#"{"term":3,"granted":false}"#]);
    script.call(2 * S, (0, 1), VOTE, [&asks(4, [5, 2]), r#"{"term":4,"granted":false}"#]);
    script.is(
        "no leader",
        3 * S,
        "S1 refused S0 its vote in T4 at 2.000 s, had given it to nobody in that term, and its own log, \
         which ends with T1:i9, is no newer than the candidate's, which ends with T2:i5",
        "to whom a vote is granted",
    );
}

#[test]
fn commands_that_wait_to_be_applied() {
    let mut script = Script::of(3);
    for n in 1..5 {
        let at = n * S;
        script.event(at, 0, What::Command { index: n, term: 3, command: "x".to_owned() });
        script.append(at + 1_000, 1, (n - 1, 1), YES);
        script.applied(at + 900_000, 0, n);
    }
    script.is(
        "the test took too long",
        6 * S,
        "its last 4 commands took 900 ms each, from start() until their leader applied them: 1 ms until they \
         were sent, less than 1 ms until a majority had acknowledged them, 898 ms until they were applied",
        "what happens when a majority has acknowledged an entry",
    );
}

#[test]
fn a_snapshot_that_is_saved_in_two_steps() {
    let mut script = Script::of(3);
    let save = |bytes, same| What::Saved { bytes, snapshot: 9, same, disk: None };
    script.event(S, 1, save(347, true));
    script.event(2 * S, 1, What::Snapshot { index: 56 });
    script.event(2 * S, 1, save(7, true));
    script.event(2 * S, 1, What::Crashed);
    script.event(3 * S, 1, What::Started);
    let whole = Script(script.0.clone());
    let found = script.fails("safety", "apply out of order", 4 * S).unwrap();
    assert_eq!(
        found.0,
        "S1 had a snapshot up to i56 of its service; the save at 2.000 s then made its Raft state shorter, \
         7 bytes in place of 347, and left the old snapshot beside it; S1 crashed at 2.000 s, before \
         another save"
    );
    assert!(found.1.contains("in one save"), "{}", found.1);
    // With the snapshot in the same save, nothing is wrong with it.
    let mut right = whole;
    right.0.events[5].what = save(7, false);
    assert_eq!(right.fails("safety", "apply out of order", 4 * S), None);
}

#[test]
fn an_election_that_was_not_needed() {
    let mut script = Script::of(3);
    script.append(S, 1, (9, 0), YES);
    vote(&mut script, S + 40_000, (1, 2), 4, true);
    script.is(
        "a needless election",
        2 * S,
        "S1 campaigned in T4 at 1.040 s, 39 ms after it had a request of S0, which led T3",
        "what resets the election timer",
    );
    let mut script = Script::of(3);
    script.append(S, 1, (9, 0), YES);
    vote(&mut script, 2 * S, (1, 2), 4, true);
    script.is(
        "a needless election",
        3 * S,
        "S1 campaigned in T4 at 2.000 s, 999 ms after it had a request of S0, which led T3; S0 sent it \
         nothing in between",
        "heartbeats against election timeouts",
    );
}
