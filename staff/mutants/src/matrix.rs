//! The kill matrix: which test fails which wrong server, on how many of its seeds, how soon; and whether
//! that has become worse.
//!
//! A test's seeds follow from its name, and a run from its seed. So the number of seeds after which a
//! wrong server is found is exact, for one state of the tests and of the reference, and two states can
//! be compared. What may not rise is a patch's number: the least over all tests. That of a single test
//! may, for every change of a story gives its seeds another meaning; such are told. Who
//! changes a story on purpose commits the new matrix with it, and whoever reviews sees what it cost.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::mutant::Mutant;
use crate::outcome::{Failed, Outcome};

const HEAD: &str = "patch,test,first,failures,runs,seed,verdict,title,virtual_seconds,wall_seconds";

/// The matrix as a file: a line for each test that fails a wrong server. Seconds are those of that
/// test's runs up to the first failure. What was not run keeps the lines that it has in `before`, if
/// it is among `all`.
pub(crate) fn csv(before: &str, all: &[Mutant], rows: &[(&Mutant, &Outcome)]) -> String {
    let mut text = format!("{HEAD}\n");
    for mutant in all.iter().filter(|mutant| mutant.is_wrong()) {
        let id = mutant.id();
        if let Some((_, outcome)) = rows.iter().find(|(of, _)| of.id() == id) {
            text.push_str(&lines(mutant, outcome));
        } else {
            let kept = |line: &&str| line.split(',').next() == Some(id.as_str());
            text.extend(before.lines().filter(kept).map(|line| format!("{line}\n")));
        }
    }
    text
}

fn lines(mutant: &Mutant, outcome: &Outcome) -> String {
    let mut text = String::new();
    let failed: &[Failed] = match outcome {
        Outcome::Failed { failed, .. } => failed,
        Outcome::Passed { .. } => {
            let _ = writeln!(text, "{},,,,,,,,,", mutant.id());
            &[]
        }
        // Nothing is known.
        Outcome::OutOfTime { .. } | Outcome::NotRun { .. } => &[],
    };
    for Failed {
        test,
        seeds,
        failures,
        runs,
        seed,
        verdict,
        title,
        virtual_seconds,
        wall_seconds,
    } in failed
    {
        let title = title.replace('"', "\"\"");
        let _ = write!(text, "{},{test},{seeds},{failures},{runs},{seed},", mutant.id());
        let _ = write!(text, "{verdict},\"{title}\",");
        let _ = writeln!(text, "{virtual_seconds:.1},{wall_seconds:.2}");
    }
    text
}

/// After how many seeds each test fails each wrong server. One that nothing fails has no tests.
pub(crate) type Matrix = BTreeMap<String, BTreeMap<String, u64>>;

/// Reads what [`csv`] wrote.
pub(crate) fn parse(csv: &str) -> Result<Matrix, String> {
    let mut lines = csv.lines();
    if lines.next() != Some(HEAD) {
        return Err(format!("it does not begin with {HEAD}"));
    }
    let mut matrix = Matrix::new();
    for (line, number) in lines.zip(2..) {
        let mut cells = line.splitn(4, ',');
        let [Some(patch), Some(test), Some(first)] = [(); 3].map(|()| cells.next()) else {
            return Err(format!("line {number} has too few cells: {line}"));
        };
        let tests = matrix.entry(patch.to_owned()).or_default();
        if test.is_empty() {
            continue;
        }
        let first =
            first.parse().map_err(|_| format!("line {number}: {first} is no number of seeds"))?;
        tests.insert(test.to_owned(), first);
    }
    Ok(matrix)
}

/// What a comparison comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Wrong servers that are found later, or not at all.
    pub(crate) worse: Vec<String>,
    /// What else is different.
    pub(crate) notes: Vec<String>,
}

/// Compares patches that are in both.
pub(crate) fn compare(committed: &Matrix, now: &Matrix) -> Comparison {
    let mut comparison = Comparison::default();
    let seeds = |number: Option<&u64>| match number {
        Some(1) => "1 seed".to_owned(),
        Some(number) => format!("{number} seeds"),
        None => "not found".to_owned(),
    };
    for (patch, tests) in now {
        let Some(before) = committed.get(patch) else {
            comparison.notes.push(format!("{patch} is new: {}", seeds(tests.values().min())));
            continue;
        };
        let (least, least_before) = (tests.values().min(), before.values().min());
        let line = format!("{patch}: {}, and was {}", seeds(least), seeds(least_before));
        // None, not found, is the worst.
        let rank = |number: Option<&u64>| number.copied().unwrap_or(u64::MAX);
        if rank(least) > rank(least_before) {
            comparison.worse.push(line);
        } else if least != least_before {
            comparison.notes.push(line);
        }
        for (test, was) in before {
            let is = tests.get(test);
            if rank(is) > *was && least.is_some() {
                let was = seeds(Some(was));
                comparison.notes.push(format!("{patch} by {test}: {}, and was {was}", seeds(is)));
            }
        }
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Lab;
    use crate::outcome::Kill;

    fn matrix(list: &[(&str, &[(&str, u64)])]) -> Matrix {
        let tests = |tests: &[(&str, u64)]| {
            tests.iter().map(|(test, seeds)| ((*test).to_owned(), *seeds)).collect()
        };
        list.iter().map(|(patch, of)| ((*patch).to_owned(), tests(of))).collect()
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mutant = Mutant::without_a_number("w", Lab::Raft, String::new());
        let failed = Failed {
            test: "raft_3A::a".to_owned(),
            seeds: 4,
            failures: 2,
            runs: 10,
            seed: "0x5eed".to_owned(),
            verdict: "safety".to_owned(),
            title: "two, or \"more\"".to_owned(),
            virtual_seconds: 1.25,
            wall_seconds: 0.5,
        };
        let outcome = Outcome::Failed { failed: vec![failed], kill: Kill::default() };
        let all = [mutant.clone()];
        let text = csv("", &all, &[(&mutant, &outcome)]);
        let line = "raft_3A::a,4,2,10,0x5eed,safety,\"two, or \"\"more\"\"\",1.2,0.50\n";
        assert!(text.ends_with(line), "{text}");
        assert_eq!(parse(&text), Ok(matrix(&[(&mutant.id(), &[("raft_3A::a", 4)])])));

        // What was not run stays as it was; what is no patch any more goes.
        let before = format!("{text}R00-gone,raft_3A::a,1,1,10,0x1,safety,\"t\",1.0,1.00\n");
        assert_eq!(csv(&before, &all, &[]), text);

        let text = csv(&before, &all, &[(&mutant, &Outcome::Passed { seeds: 1000 })]);
        assert_eq!(parse(&text), Ok(matrix(&[(&mutant.id(), &[])])));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(parse("a\n"), Err(format!("it does not begin with {HEAD}")));
        let error = parse(&format!("{HEAD}\nR01,raft_3A::a,many,\n")).unwrap_err();
        assert_eq!(error, "line 2: many is no number of seeds");
    }

    #[test]
    fn a_patch_that_is_found_later_is_worse() {
        let before = matrix(&[("R01", &[("a", 2), ("b", 7)]), ("R02", &[("a", 1)])]);
        let now = matrix(&[("R01", &[("a", 3), ("b", 7)]), ("R02", &[])]);
        let comparison = compare(&before, &now);
        let worse = ["R01: 3 seeds, and was 2 seeds", "R02: not found, and was 1 seed"];
        assert_eq!(comparison.worse, worse);
    }

    #[test]
    fn a_test_that_finds_it_later_is_told_only() {
        let before = matrix(&[("R01", &[("a", 2), ("b", 7)]), ("R02", &[])]);
        let now = matrix(&[("R01", &[("a", 2)]), ("R02", &[("a", 5)]), ("R03", &[("a", 1)])]);
        let Comparison { worse, notes } = compare(&before, &now);
        assert_eq!(worse, Vec::<String>::new());
        let told = [
            "R01 by b: not found, and was 7 seeds",
            "R02: 5 seeds, and was not found",
            "R03 is new: 1 seed",
        ];
        assert_eq!(notes, told);
    }

    #[test]
    fn patches_that_were_not_run_are_not_compared() {
        let before = matrix(&[("R01", &[("a", 2)]), ("R02", &[("a", 1)])]);
        assert_eq!(compare(&before, &matrix(&[("R01", &[("a", 2)])])), Comparison::default());
    }
}
