//! Runs written by hand: what is found in them, and what is drawn of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use timeline::Run;
use timeline::model::{Call, Change, Event, Leg, Micros, Operation, Role, Verdict, What};
use timeline::rules::{Act, Rule, findings};
use timeline::why::Story;

/// A run that is written event by event.
struct Script(Run);

impl Script {
    fn of(servers: usize) -> Script {
        let mut script = Script(Run {
            version: Run::VERSION,
            test: "raft_3A::a_test".into(),
            seed: "0x5eed".into(),
            servers,
            peers: (0..servers).map(|server| format!("S{server}")).collect(),
            methods: vec!["Raft.RequestVote".into(), "Raft.AppendEntries".into()],
            ..Run::default()
        });
        for server in 0..servers {
            script = script.then(1, server, What::Started);
        }
        script
    }

    fn then(mut self, at: Micros, server: usize, what: What) -> Script {
        self.0.events.push(Event { at, server: Some(server), task: None, what });
        self.0.end = at;
        self
    }

    fn state(self, at: Micros, server: usize, change: Change) -> Script {
        self.then(at, server, What::State(change))
    }

    fn saved(self, at: Micros, server: usize, disk: Change) -> Script {
        self.then(at, server, What::Saved { bytes: 1, snapshot: 0, same: true, disk: Some(disk) })
    }

    /// A request that arrives, and its answer, each after 100 us.
    fn call(mut self, at: Micros, from: usize, to: usize, method: usize) -> Script {
        let leg = |sent| Leg {
            sent,
            arrived: Some(sent + 100),
            fate: timeline::model::Fate::Usual,
            bytes: 8,
            content: None,
        };
        let (request, reply) = (leg(at), Some(leg(at + 110)));
        self.0.calls.push(Call { from, to, method, request, reply, copies: vec![] });
        self
    }

    /// The same, with what is in the request and in its answer.
    fn call_of(
        mut self,
        at: Micros,
        (from, to): (usize, usize),
        method: usize,
        contents: [&str; 2],
    ) -> Script {
        let first = self.0.contents.len();
        self.0.contents.extend(contents.map(str::to_owned));
        let mut script = self.call(at, from, to, method);
        let call = script.0.calls.last_mut().unwrap();
        call.request.content = Some(first);
        call.reply.as_mut().unwrap().content = Some(first + 1);
        script
    }

    fn rules(&self) -> Vec<Rule> {
        findings(&self.0).into_iter().map(|finding| finding.rule).collect()
    }

    fn acts(&self) -> Vec<(Rule, Act)> {
        findings(&self.0).into_iter().map(|finding| (finding.rule, finding.act)).collect()
    }

    fn fails(mut self, happened: &str) -> Run {
        let at = self.0.end;
        let kind = "safety".to_owned();
        let happened = happened.to_owned();
        self.0.verdict = Some(Verdict { kind, happened, at, ..Verdict::default() });
        self.0
    }
}

fn votes(term: u64, vote: i64) -> Change {
    Change { term: Some(term), vote: Some(vote), ..Change::default() }
}

fn role(role: Role) -> Change {
    Change { role: Some(role), ..Change::default() }
}

fn stands(term: u64, me: i64) -> Change {
    Change { role: Some(Role::Candidate), ..votes(term, me) }
}

fn log(kept: u64, terms: &[u64]) -> Change {
    Change { log: Some((kept, terms.to_vec())), ..Change::default() }
}

fn commit(index: u64) -> Change {
    Change { commit: Some(index), ..Change::default() }
}

/// S0 is elected in T1 by S1, and nothing is wrong with that.
fn elected() -> Script {
    Script::of(3)
        .state(1_000, 0, stands(1, 0))
        .call(1_100, 0, 1, 0)
        .state(1_205, 1, votes(1, 0))
        .state(1_310, 0, role(Role::Leader))
}

#[test]
fn an_election_breaks_no_rule() {
    assert_eq!(elected().rules(), []);
}

#[test]
fn two_votes_and_two_leaders_are_found() {
    let script = elected().state(2_000, 2, stands(1, 2)).state(2_200, 1, votes(1, 2)).state(
        2_300,
        2,
        role(Role::Leader),
    );
    assert_eq!(script.rules(), [Rule::OneVote, Rule::ElectionSafety]);
}

#[test]
fn a_leader_needs_votes() {
    let script = Script::of(3).state(1_000, 0, stands(1, 0)).state(1_001, 0, role(Role::Leader));
    assert_eq!(script.rules(), [Rule::Majority]);
}

#[test]
fn a_vote_for_a_shorter_log_is_found() {
    let script = Script::of(3)
        .call(350, 2, 1, 1)
        .state(500, 1, log(0, &[1, 1]))
        .state(1_000, 0, stands(2, 0))
        .state(1_200, 1, votes(2, 0));
    assert_eq!(script.rules(), [Rule::BetterLog]);
}

#[test]
fn figure_8_is_found() {
    let script = elected()
        .state(2_000, 0, log(0, &[1]))
        .call(2_001, 0, 1, 1)
        .state(2_105, 1, log(0, &[1]))
        .state(3_000, 0, stands(2, 0))
        .call(3_001, 0, 1, 0)
        .state(3_105, 1, votes(2, 0))
        .state(3_200, 0, role(Role::Leader))
        .state(3_300, 0, commit(1));
    assert_eq!(script.rules(), [Rule::OwnTerm]);
}

#[test]
fn a_new_term_has_a_new_vote() {
    let script = elected().state(2_000, 1, Change { term: Some(2), ..Change::default() });
    assert_eq!(script.acts(), [(Rule::OneVote, Act::Term)]);
}

#[test]
fn whoever_does_not_lead_adds_nothing() {
    let script = elected().state(9_000, 2, log(0, &[1]));
    assert_eq!(script.acts(), [(Rule::Consistency, Act::Start)]);
}

#[test]
fn whoever_hears_no_leader_campaigns() {
    let script = elected().state(1_900_000, 0, commit(0));
    assert_eq!(script.acts(), []);
    let script = script.state(2_500_000, 0, commit(0));
    let waits = (Rule::Elections, Act::Timer);
    assert_eq!(script.acts(), [waits, waits]);
}

#[test]
fn a_leader_with_a_majority_leads_on() {
    let script = elected().call(1_400, 0, 1, 1).state(1_700, 0, role(Role::Follower));
    assert_eq!(script.acts(), [(Rule::Elections, Act::Stepdown)]);
}

#[test]
fn a_leader_knows_what_its_followers_have() {
    let knows = |matched| Change {
        followers: Some(vec![(1, matched + 1, matched), (2, 1, 0)]),
        ..Change::default()
    };
    let script = elected().state(1_400, 0, log(0, &[1])).state(1_500, 0, knows(0));
    assert_eq!(script.acts(), []);
    assert_eq!(script.state(1_600, 0, knows(1)).acts(), [(Rule::Followers, Act::Progress)]);
}

#[test]
fn a_snapshot_has_the_term_of_its_last_entry() {
    let base = |term| Change { base: Some((1, term)), ..Change::default() };
    let script = |term| {
        let script = elected().state(1_400, 0, log(0, &[1])).state(1_410, 0, commit(0));
        script.then(1_500, 0, What::Snapshot { index: 1 }).state(
            1_600,
            0,
            Change { commit: Some(1), ..base(term) },
        )
    };
    assert_eq!(script(1).acts(), []);
    assert_eq!(script(0).acts(), [(Rule::Compaction, Act::Snapshot)]);
}

/// A snapshot adds nothing to the log; but a leader may have been given a command meanwhile, which is not
/// seen where it comes from a client's server.
#[test]
fn a_snapshot_does_not_make_the_log_longer() {
    let longer = |operations: Vec<Operation>| {
        let grown = Change { base: Some((1, 1)), commit: Some(1), ..log(1, &[1]) };
        let mut script = elected()
            .state(1_400, 0, log(0, &[1]))
            .then(1_500, 0, What::Snapshot { index: 1 })
            .state(1_600, 0, grown);
        script.0.operations = operations;
        script.acts()
    };
    assert_eq!(longer(Vec::new()), [(Rule::Compaction, Act::Snapshot)]);
    let put = Operation {
        client: "c0".into(),
        key: "x".into(),
        call: "put(x, 1)".into(),
        answer: None,
        from: 1_500,
        to: None,
        point: None,
        mark: None,
        entries: Vec::new(),
    };
    assert_eq!(longer(vec![put]), []);
}

/// A follower's log ends where its leader's does, as far as it has been sent that: in entries, in a
/// snapshot, or in a request too long to be recorded.
#[test]
fn a_follower_has_what_it_was_sent() {
    const NOTHING: &str =
        r#"{"term":1,"leader":0,"prev":{"term":0,"index":0},"entries":[],"leader_commit":0}"#;
    const LONG: &str =
        r#"{"term":1,"leader":0,"prev":{"term":0,"index":0},"entries":[{"term":1,"comma"#;
    const YES: &str = r#"{"term":1,"outcome":"Accepted"}"#;
    let asked = |script: Script, at, request| script.call_of(at, (0, 1), 1, [request, YES]);
    let grown = |script: Script| script.state(2_205, 1, log(0, &[1])).acts();
    let script = || asked(elected(), 2_000, NOTHING);
    let found = grown(asked(script(), 2_100, NOTHING));
    assert_eq!(found, [(Rule::Consistency, Act::Append)]);
    assert_eq!(grown(asked(script(), 2_100, LONG)), []);
    let snapshot = Change { base: Some((1, 1)), commit: Some(1), ..Change::default() };
    let found = asked(script(), 2_100, NOTHING).state(2_205, 1, snapshot).acts();
    assert!(!found.contains(&(Rule::Consistency, Act::Append)), "{found:?}");
}

#[test]
fn a_commit_needs_copies_and_does_not_go_back() {
    let script = elected().state(2_000, 0, log(0, &[1])).state(2_100, 0, commit(1)).state(
        2_200,
        0,
        commit(0),
    );
    assert_eq!(script.rules(), [Rule::Stored, Rule::OnlyForward]);
}

#[test]
fn what_is_not_on_the_disk_is_found_when_it_is_promised() {
    let unsaved = Script::of(3)
        .saved(900, 1, Change { term: Some(1), ..Change::default() })
        .state(1_000, 0, stands(1, 0))
        .call(1_100, 0, 1, 0)
        .state(1_205, 1, votes(1, 0))
        .state(2_000, 2, votes(1, -1));
    let found = findings(&unsaved.0);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].rule, found[0].server, found[0].at), (Rule::Persistence, 1, 1_210));
    assert!(found[0].text.contains("not on its disk: its vote for S0 in T1"), "{}", found[0].text);
}

#[test]
fn a_vote_lost_in_a_crash_is_told_from_its_beginning() {
    let run = elected()
        .then(2_000, 1, What::Crashed)
        .then(2_100, 1, What::Started)
        .state(2_101, 1, Change { term: Some(1), ..Change::default() })
        .state(3_000, 2, stands(1, 2))
        .call(3_100, 2, 1, 0)
        .state(3_205, 1, votes(1, 2))
        .state(3_400, 2, role(Role::Leader))
        .fails("S0 led T1, first seen at 0.001 s; S2 leads T1 too, seen at 0.003 s");
    let story = Story::of(&run);
    assert_eq!((story.subject.servers.clone(), story.subject.term), (vec![0, 2], Some(1)));
    assert_eq!(story.findings[0].rule, Rule::Persistence);
    let texts: Vec<&str> = story.steps.iter().map(|step| &*step.text).collect();
    let wanted = [
        "S0 is in T1, asks for votes, votes for S0",
        "S1 has Raft.RequestVote from S0",
        "S1 is in T1, votes for S0",
        "S1 crashes",
        "S1 restarts without its vote for S0 in T1",
        "S1 has Raft.RequestVote from S2",
        "S1 is in T1, votes for S2",
        "S2 leads T1, which S0 led",
    ];
    let places: Vec<_> =
        wanted.iter().map(|want| texts.iter().position(|text| text == want)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{texts:#?}");
}

#[test]
fn a_page_holds_its_run() {
    let mut run = elected().fails("</script> S0 & <b>");
    run.test = "a </script> test".into();
    let page = timeline::page(&run);
    assert!(page.starts_with("<!doctype html>"));
    assert!(!page.contains("{{data}}") && !page.contains("{{script}}"), "a placeholder is left");
    assert_eq!(page.matches("</script>").count(), 2);
    assert_eq!(timeline::run_of_page(&page).unwrap(), run);
    assert!(timeline::run_of_page("<html>").is_err());
    assert!(timeline::page_beside(&run, &run).len() > page.len());
}

#[test]
fn shiviz_sees_what_was_known() {
    let log = timeline::shiviz(&elected().0);
    let lines: Vec<&str> = log.lines().collect();
    let received = lines.iter().position(|line| line.contains("receives Raft.RequestVote from S0"));
    let clock = lines[received.unwrap() - 1];
    // S1 knows that S0 started, stood, and sent.
    assert_eq!(clock, r#"S1 {"S0":3, "S1":2}"#);
}
