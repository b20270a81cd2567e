//! What came of all patches: lines, sums, and the Markdown table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::mutant::{Lab, Mutant};
use crate::outcome::{Failed, Outcome};
use crate::summary;

/// Prints to the terminal, or to whoever reads this program.
pub(crate) fn say(text: &str) {
    // Nothing sensible can be done if nobody listens.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// One line for one patch.
pub(crate) fn line(mutant: &Mutant, outcome: &Outcome) -> String {
    let word = outcome.word(mutant.is_wrong());
    let mut line =
        format!("{:<31} {:<2} {:<11} {word:<11} ", mutant.id(), mutant.part, mutant.kind);
    let _ = match outcome {
        Outcome::Failed { failed, .. } => write!(line, "{}", describe(failed, 3)),
        Outcome::Passed { seeds } | Outcome::OutOfTime { seeds } => write!(line, "{seeds} seeds"),
        Outcome::NotRun { problem } => write!(line, "{problem}"),
    };
    line.push('\n');
    line
}

/// "1 seed: test (safety: title), ..., +2 more".
fn describe(failed: &[Failed], most: usize) -> String {
    let Some(first) = failed.first() else { return String::new() };
    let seeds =
        if first.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", first.seeds) };
    let mut text = format!("{seeds}: {} ({}: {})", first.test, first.verdict, first.title);
    for other in failed.iter().skip(1).take(most - 1) {
        let _ = write!(text, ", {} ({})", other.test, other.verdict);
    }
    if failed.len() > most {
        let _ = write!(text, ", +{} more", failed.len() - most);
    }
    text
}

/// How many of the wrong ones were caught, by part and by type; and how many right ones passed.
pub(crate) fn print_sums(rows: &[(&Mutant, &Outcome)]) {
    say(&format!("\n{}", sums(rows)));
}

fn sums(rows: &[(&Mutant, &Outcome)]) -> String {
    let mut cells: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    let mut missed_by_go = (0, 0);
    let mut right = (0, 0);
    for (mutant, outcome) in rows {
        let good = usize::from(outcome.is_right_for(mutant.is_wrong()));
        if !mutant.is_wrong() {
            right = (right.0 + good, right.1 + 1);
            continue;
        }
        for part in [mutant.part.as_str(), "all"] {
            for kind in [mutant.kind.as_str(), "all"] {
                let cell = cells.entry((part, kind)).or_default();
                *cell = (cell.0 + good, cell.1 + 1);
            }
        }
        if summary::is_missed(mutant) {
            missed_by_go = (missed_by_go.0 + good, missed_by_go.1 + 1);
        }
    }
    let show = |(good, all): (usize, usize)| {
        if all == 0 { "-".to_owned() } else { format!("{good} of {all}") }
    };
    let mut text = String::from("| wrong, and caught |");
    for kind in KINDS {
        let _ = write!(text, " {kind} |");
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(KINDS.len()));
    for part in ["3A", "3B", "3C", "3D", "4A", "4B", "all"] {
        let _ = write!(text, "\n| {part} |");
        for kind in KINDS {
            let _ =
                write!(text, " {} |", show(cells.get(&(part, kind)).copied().unwrap_or_default()));
        }
    }
    let _ = write!(
        text,
        "\n\nOf those that the original's tests rarely or never fail, {} are caught. \
         Of the right ones, {} pass.\n",
        show(missed_by_go),
        show(right)
    );
    text
}

const KINDS: [&str; 7] =
    ["safety", "liveness", "persistence", "concurrency", "performance", "resource", "all"];

/// The table as a file of this folder.
pub(crate) fn markdown(rows: &[(&Mutant, &Outcome)], runs: u64) -> String {
    let mut text = format!(
        "# Wrong servers and right ones\n\n\
         Made by `make mutants`; do not edit. A wrong server is caught if a test fails on some of its \
         first {runs} seeds. *Seeds* is after how many that is, each test being run on its first, then each on its \
         second; *seconds* is how long the runs took until then, one after the other, and *virtual* the same on \
         the clock of the simulation, which is equal on every machine. Where no graded test fails, torture is tried. *Go* is how often \
         the original's tests fail it (`unknown` if they were not tried on it). Which test fails which server on what share of \
         its seeds is in [MATRIX.csv](MATRIX.csv).\n\n{}\n{}",
        summary::kills(rows),
        sums(rows)
    );
    let _ = write!(
        text,
        "\n## What the original's tests rarely or never fail\n\n{}",
        summary::missed_by_the_original(rows)
    );
    for (lab, title) in [(Lab::Raft, "Rafts"), (Lab::Service, "services")] {
        let rows: Vec<_> = rows.iter().filter(|(mutant, _)| mutant.lab == lab).copied().collect();
        let _ = write!(text, "\n## Wrong {title}\n\n{}", wrong(&rows));
        let _ = write!(text, "\n## Right {title}, though unusual\n\n{}", right(&rows));
    }
    text
}

fn wrong(rows: &[(&Mutant, &Outcome)]) -> String {
    let mut text = String::from(
        "| number | name | paper | part | type | go | seeds | first failure | tests that fail |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (mutant, outcome) in rows.iter().filter(|(mutant, _)| mutant.is_wrong()) {
        let (seeds, first, all) = match outcome {
            Outcome::Failed { failed, .. } => {
                let first = &failed[0];
                let tests: Vec<&str> = failed.iter().map(|failed| short(&failed.test)).collect();
                let what = format!("{}: {}", first.verdict, first.title);
                (first.seeds.to_string(), what, list(&tests))
            }
            other => ("-".to_owned(), format!("**{}**", other.word(true)), String::new()),
        };
        let Mutant { number, name, paper, part, kind, go, .. } = mutant;
        let _ = writeln!(
            text,
            "| {number} | [{name}](wrong/{}.patch) | {paper} | {part} | {kind} | {go} | {seeds} | {first} | {all} |",
            mutant.id()
        );
    }
    text
}

fn right(rows: &[(&Mutant, &Outcome)]) -> String {
    let mut text = String::from("| number | name | what | result |\n| --- | --- | --- | --- |\n");
    for (mutant, outcome) in rows.iter().filter(|(mutant, _)| !mutant.is_wrong()) {
        let result = match outcome {
            Outcome::Passed { seeds } => format!("passes {seeds} seeds of every test"),
            Outcome::Failed { failed, .. } => format!("**FAILS** {}", describe(failed, 3)),
            other => format!("**{}**", other.word(false)),
        };
        let Mutant { number, name, what, .. } = mutant;
        let _ = writeln!(
            text,
            "| {number} | [{name}](right/{}.patch) | {what} | {result} |",
            mutant.id()
        );
    }
    text
}

/// `3A::re_election` of `raft_3A::re_election`.
fn short(test: &str) -> &str {
    test.trim_start_matches("kv").trim_start_matches("raft_")
}

fn list(tests: &[&str]) -> String {
    const MOST: usize = 5;
    let shown = tests.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if tests.len() > MOST { format!("{shown}, +{} more", tests.len() - MOST) } else { shown }
}
