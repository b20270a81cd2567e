//! The recorder of the timeline, tested: it does not disturb, and it misses nothing.

use std::path::Path;
use std::process::{Command, Output};

use labsystem::lab;
use labtester::Record;
use timeline::Run;
use timeline::model::{Fate, Role, What};
use timeline::why::Story;

/// A test of this binary, run by itself: what it printed, its record, and its timeline if it is drawn.
fn recorded(test: &str, variables: &[(&str, &str)]) -> (Output, Record, Option<Run>) {
    let records = std::env::temp_dir().join(format!(
        "recorder-{}-{}-{}.jsonl",
        std::process::id(),
        test.replace("::", "."),
        variables.len()
    ));
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LAB_")) {
        command.env_remove(name);
    }
    command.args([test, "--exact", "--include-ignored", "--nocapture"]);
    command.env("LAB_RUNS", "1").env("LAB_RECORDS", &records).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let lines = std::fs::read_to_string(&records).unwrap();
    let _ = std::fs::remove_file(&records);
    let record: Record = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    // As a person in the workspace would type it.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = record.artefacts.get("timeline").map(|path| workspace.join(path));
    let run =
        page.map(|page| timeline::run_of_page(&std::fs::read_to_string(page).unwrap()).unwrap());
    (output, record, run)
}

/// Crashes, a bad network, snapshots, and the service of Lab 4: the recorded run takes the same steps.
#[test]
fn a_recorded_run_is_the_same_run() {
    for test in [
        "raft_3A::many_elections",
        "raft_3C::figure_8_unreliable",
        "raft_3D::snapshot_install_un_crash",
        "kvraft_4B::snapshot_size",
    ] {
        let (_, unrecorded, nothing) = recorded(test, &[("LAB_TRACE", "never")]);
        assert_eq!(nothing, None);
        let (_, record, run) =
            recorded(test, &[("LAB_TRACE", "always"), ("LAB_BACKEND", "threads")]);
        let run = run.unwrap();
        assert_eq!(record.trace, unrecorded.trace, "{test}");
        assert_eq!(run.trace, unrecorded.trace, "{test}");
        assert_eq!(run.calls.len() as u64, record.rpcs, "{test}");
        assert_eq!(run.verdict, None, "{test}");
    }
}

/// A correct server breaks no rule, in whatever it is put through, whether it shows what it is in or not.
#[test]
fn nothing_is_found_in_a_right_server() {
    for test in [
        "raft_3A::many_elections",
        "raft_3B::backup",
        "raft_3B::concurrent_starts",
        "raft_3C::figure_8",
        "raft_3C::unreliable_churn",
        "raft_3D::snapshot_all_crash",
        "raft_3D::snapshot_install_un_crash",
        "kvraft_4A::persist_partition_unreliable",
        "kvraft_4B::snapshot_unreliable_recover",
    ] {
        let (_, _, run) = recorded(test, &[("LAB_TRACE", "always")]);
        assert_eq!(Story::of(&run.unwrap()).findings, [], "{test}");
        let (_, _, run) = recorded(test, &[("LAB_TRACE", "always"), ("LAB_VIEW", "no")]);
        let run = run.unwrap();
        assert_eq!(Story::of(&run).findings, [], "{test}, without a view");
        assert_eq!(run.derived.len(), run.servers, "{test}");
    }
}

/// Roles and terms of servers that show nothing are told by their messages: as they would have shown them.
#[test]
fn roles_and_terms_are_derived_from_messages() {
    let leaders = |view: &str| {
        let variables = [("LAB_TRACE", "always"), ("LAB_VIEW", view)];
        let run = recorded("raft_3A::many_elections", &variables).2.unwrap();
        let mut terms = vec![0; run.servers];
        let mut leaders = std::collections::BTreeSet::new();
        for event in &run.events {
            if let (What::State(change), Some(server)) = (&event.what, event.server) {
                terms[server] = change.term.unwrap_or(terms[server]);
                if change.role == Some(Role::Leader) {
                    leaders.insert((terms[server], server));
                }
            }
        }
        leaders
    };
    assert_eq!(leaders("no"), leaders("yes"));
}

/// Loses a majority on purpose; run by the test below.
#[test]
#[ignore = "it fails on purpose"]
fn fails_on_purpose() {
    lab("3B", "fails on purpose", 0).servers(3).unreliable().ignored().run(|cluster| {
        cluster.expect_agreement(3);
        let leader = cluster.expect_one_leader();
        cluster.crash(leader);
        cluster.restart(leader);
        cluster.connect(leader);
        cluster.expect_agreement(3);
        let leader = cluster.expect_one_leader();
        for step in 1..3 {
            cluster.disconnect(cluster.after(leader, step));
        }
        cluster.expect_agreement_at_once(1);
    });
}

#[test]
fn a_failure_is_drawn_and_its_path_printed() {
    let (output, record, run) = recorded("recorder::fails_on_purpose", &[]);
    let run = run.unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains(&format!("timeline   {}", record.artefacts["timeline"])), "{printed}");

    let verdict = run.verdict.as_ref().unwrap();
    let report = record.report.as_ref().unwrap();
    assert_eq!((&verdict.title, &verdict.again), (&report.title, &report.again));
    assert_eq!(run.trace, record.trace);
    assert!(verdict.at <= run.end && verdict.at + 1_000 > run.end, "{} {}", verdict.at, run.end);
    let failed: Vec<&str> =
        run.checks.iter().filter(|check| !check.ok).map(|check| &*check.what).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");

    let count =
        |wanted: fn(&What) -> bool| run.events.iter().filter(|event| wanted(&event.what)).count();
    assert_eq!(count(|what| matches!(what, What::Crashed)), 1);
    assert_eq!(count(|what| matches!(what, What::Started)), 4);
    assert!(count(|what| matches!(what, What::Applied { .. })) >= 6);
    assert!(count(|what| matches!(what, What::State(_))) > 10);
    assert!(count(|what| matches!(what, What::Log { .. })) > 10);
    // What is on the disks was read.
    assert_eq!(count(|what| matches!(what, What::Saved { disk: None, .. })), 0);
    assert!(run.calls.iter().any(|call| call.request.fate == Fate::Lost));
    assert!(run.calls.iter().any(|call| call.request.fate == Fate::NoPath));
    assert!(run.calls.iter().all(|call| call.request.content.is_some()));
    assert_eq!(Story::of(&run).findings, []);
    assert_eq!(Story::of(&run).situation.len(), if verdict.kind == "liveness" { 3 } else { 0 });
}

#[test]
fn what_lab_trace_takes() {
    let (_, _, run) = recorded("raft_3A::re_election", &[("LAB_TRACE", "failures")]);
    assert_eq!(run, None);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["raft_3A::re_election", "--exact", "--nocapture"])
        .env("LAB_TRACE", "sometimes")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("it takes `failures`, `always` or `never`"), "{printed}");
}
