//! Submissions that cheat, each graded twice: with the scan as it is, and with one that only flags, so
//! that what lies behind it is tried, too.
//!
//! An attack is a folder of `attacks/`: what differs from `attacks/base`, which is not a Raft. The head of
//! its `raft/src/attack.rs` says what it does, what stops it, and what the grader must see; and `gains`,
//! if a scan that only flags lets it have points. With `base: reference` it differs from the reference
//! solution; `test` names another test than the usual one. `@SCRATCH@` and `@OUT@` in it are folders
//! of this test. `ATTACKS=tap,files` tries these two only.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use common::{grade, scratch, text};
use grade::grade::Grade;
use grade::workspace::{self, Files};

/// The test that is graded: three servers must apply what one was given.
const TEST: &str = "raft_3B::basic_agree";

const POLICY: &str = "\
seeds = 2
[limits]
wall_seconds = 10
cpu_seconds = 30
memory_mib = 512
print_mib = 4
";

const ONLY_FLAG: &str = "
[scan]
unsafe = 'flag'
outside = 'flag'
linking = 'flag'
static = 'flag'
foreign = 'flag'
unreadable = 'flag'
";

struct Attack {
    name: String,
    head: BTreeMap<String, String>,
}

#[test]
#[ignore = "it builds two dozen submissions, which takes minutes: make attacks"]
fn no_attack_gains_a_point() {
    let folder = scratch("attacks");
    fs::write(folder.join("secret"), "the grader's").unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let base = workspace::read(&here.join("base")).unwrap();
    let reference = workspace::read(&common::root()).unwrap().into_iter();
    let reference: Files =
        reference.filter(|(path, _)| workspace::is_source_of("raft", path)).collect();
    let only = std::env::var("ATTACKS").ok();
    let is_tried = |name: &str| only.iter().all(|only| only.split(',').any(|one| one == name));
    let mut attacks = Vec::new();
    for entry in fs::read_dir(&here).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "base" && is_tried(&name) {
            let own = workspace::read(&here.join(&name)).unwrap();
            let head = head(&own, &folder);
            let base = if head.contains_key("base") { &reference } else { &base };
            attacks.push(Attack { head, name: name.clone() });
            let all = base.clone().into_iter().chain(own).map(|(path, contents)| {
                let contents = text(&contents)
                    .replace("@SCRATCH@", folder.to_str().unwrap())
                    .replace("@OUT@", folder.join("flagged").to_str().unwrap());
                (path, contents.into_bytes())
            });
            workspace::write(&all.collect(), &folder.join("submissions").join(&name)).unwrap();
        }
    }
    attacks.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(attacks.len() > 20 || only.is_some());
    for name in only.iter().flat_map(|only| only.split(',')) {
        assert!(attacks.iter().any(|attack| attack.name == name), "there is no attack `{name}`");
    }

    let default = grade_all(&folder, "default", &attacks.iter().collect::<Vec<_>>(), POLICY);
    // What the scan does not reject would go the same way again.
    let rejected: Vec<&Attack> =
        attacks.iter().filter(|attack| default[&attack.name].problem.is_some()).collect();
    let flagged = grade_all(&folder, "flagged", &rejected, &format!("{POLICY}{ONLY_FLAG}"));

    let mut table = String::new();
    let mut wrong = Vec::new();
    for Attack { name, head } in &attacks {
        let _ = writeln!(table, "\n{name}: {}", head["what"]);
        let _ = writeln!(table, "    stopped by   {}", head["stopped"]);
        for (how, grades) in [("default", &default), ("flagged", &flagged)] {
            let (Some(grade), Some(expected)) = (grades.get(name), head.get(how)) else {
                // Whoever is graded says what must be seen, and the other way round.
                assert!(!grades.contains_key(name) && !head.contains_key(how), "{name}: {how}");
                continue;
            };
            let (seen, score) = (seen(grade), grade.score());
            let first = seen.lines().next().unwrap();
            let _ = writeln!(table, "    {how:<12} {score} points: {first}");
            let gains = head.get("gains").filter(|_| how == "flagged");
            let gains: f64 = gains.map_or(0.0, |gains| gains.parse().unwrap());
            #[expect(clippy::float_cmp, reason = "points are whole here")]
            let right = score == gains && expected.split(" | ").any(|words| seen.contains(words));
            if !right || !grade.complete {
                wrong.push(format!("{name} ({how}): {expected}, and not:\n{seen}"));
            }
            // What is only flagged is there for staff to see.
            assert!(how == "default" || !grade.findings.is_empty(), "{name}");
        }
    }
    eprintln!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    for trace in ["build-script-ran", "macro-ran"] {
        assert!(!folder.join(trace).exists(), "{trace}");
    }
    for place in ["/tmp/raftlab-attack", "/dev/shm/raftlab-attack", "/var/tmp/raftlab-attack"] {
        assert!(!Path::new(place).exists(), "{place}");
    }
}

/// What the head of an attack says.
fn head(files: &Files, scratch: &Path) -> BTreeMap<String, String> {
    let source = text(&files["raft/src/attack.rs"]).replace("@SCRATCH@", scratch.to_str().unwrap());
    let head = source.lines().map_while(|line| line.strip_prefix("//! "));
    let head: BTreeMap<_, _> = head
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    assert!(["what", "stopped", "default"].iter().all(|name| head.contains_key(*name)));
    head
}

/// Grades each with its test.
fn grade_all(
    folder: &Path,
    how: &str,
    attacks: &[&Attack],
    policy: &str,
) -> BTreeMap<String, Grade> {
    let mut of_test: BTreeMap<&str, Vec<&Attack>> = BTreeMap::new();
    for attack in attacks {
        let test = attack.head.get("test").map_or(TEST, String::as_str);
        of_test.entry(test).or_default().push(attack);
    }
    let graded = of_test.into_iter().flat_map(|(test, attacks)| {
        // The attacks name the folder of the usual test.
        let out = if test == TEST { how.to_owned() } else { format!("{how}-{}", &test[..7]) };
        grade_with(test, folder, &out, &attacks, policy)
    });
    graded.collect()
}

fn grade_with(
    test: &str,
    folder: &Path,
    how: &str,
    attacks: &[&Attack],
    policy: &str,
) -> BTreeMap<String, Grade> {
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(path(&format!("{how}.toml")), policy).unwrap();
    // Warm from run to run of this test.
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build").display().to_string();
    let mut arguments = vec!["run", "--profile", "dev", "--tests", test, "--build", &build];
    let (out, policy) = (path(how), path(&format!("{how}.toml")));
    arguments.extend(["--out", &out, "--policy", &policy]);
    let submissions: Vec<String> =
        attacks.iter().map(|attack| path(&format!("submissions/{}", attack.name))).collect();
    arguments.extend(submissions.iter().map(String::as_str));
    let output = grade(&arguments);
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{printed}");
    eprintln!("{how}:\n{printed}");
    attacks
        .iter()
        .map(|attack| {
            let file = folder.join(how).join(&attack.name).join("grade.json");
            let grade = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            (attack.name.clone(), grade)
        })
        .collect()
}

/// What the grader sees.
fn seen(grade: &Grade) -> String {
    if let Some(problem) = &grade.problem {
        return problem.text().to_owned();
    }
    let test = &grade.tests[0];
    match test.first_failure() {
        Some(record) => {
            let signature = record.signature.clone().unwrap_or_default();
            format!("{signature}\n{}\n{}", test.text(), test.printed)
        }
        None => "passed".to_owned(),
    }
}
