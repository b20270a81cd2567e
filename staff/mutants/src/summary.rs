//! How soon wrong servers are found, and how that compares with the tests of the original.

use std::fmt::Write as _;

use crate::mutant::{Lab, Mutant};
use crate::outcome::{Failed, Kill, Outcome};

/// What the original's tests (2024) were seen to do with Rafts and with services, as `go:` in the
/// patches' headers has it one by one: so many were failed of so many that were tried.
const ORIGINAL: [(Lab, u32, u32); 2] = [(Lab::Raft, 57, 108), (Lab::Service, 24, 40)];

/// Numbers from here on are of mistakes that were found here; the original was not tried on them.
const OURS: u32 = 200;

/// How many are caught, by what, and how long that takes.
pub(crate) fn kills(rows: &[(&Mutant, &Outcome)]) -> String {
    let mut text = String::from(
        "| | wrong | caught by graded tests | by torture or scripted histories only | seeds: median | worst \
         | seconds: median | nine of ten | worst | virtual: median | worst | original |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, lab) in [("Rafts", Some(Lab::Raft)), ("services", Some(Lab::Service)), ("all", None)]
    {
        let in_lab = |mutant: &Mutant| lab.is_none_or(|lab| mutant.lab == lab);
        let wrong: Vec<&Outcome> = rows
            .iter()
            .filter(|(mutant, _)| mutant.is_wrong() && in_lab(mutant))
            .map(|(_, outcome)| *outcome)
            .collect();
        let kills: Vec<&Kill> = wrong.iter().filter_map(|outcome| outcome.kill()).collect();
        let by_torture = kills.iter().filter(|kill| kill.test.starts_with("torture")).count();
        let graded = kills.len() - by_torture;
        let sorted = |value: fn(&Kill) -> f64| {
            let mut values: Vec<f64> = kills.iter().map(|kill| value(kill)).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        #[expect(clippy::cast_precision_loss, reason = "a thousand seeds at most")]
        let seeds = sorted(|kill| kill.seeds as f64);
        let wall = sorted(|kill| kill.wall_seconds);
        let virtual_time = sorted(|kill| kill.virtual_seconds);
        let original: Vec<String> = ORIGINAL
            .iter()
            .filter(|(of, ..)| lab.is_none_or(|lab| lab == *of))
            .map(|(_, failed, tried)| format!("{failed} of {tried}"))
            .collect();
        let _ = writeln!(
            text,
            "| {name} | {} | {graded} | {by_torture} | {} | {} | {} | {} | {} | {} | {} | {} |",
            wrong.len(),
            at(&seeds, 50, 0),
            at(&seeds, 100, 0),
            at(&wall, 50, 1),
            at(&wall, 90, 1),
            at(&wall, 100, 1),
            at(&virtual_time, 50, 0),
            at(&virtual_time, 100, 0),
            original.join(", ")
        );
    }
    text
}

/// The so-manieth of a hundred, with so many digits.
fn at(sorted: &[f64], percent: usize, digits: usize) -> String {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// What finds each of those that the original's tests seldom find.
pub(crate) fn missed_by_the_original(rows: &[(&Mutant, &Outcome)]) -> String {
    let mut text = String::from(
        "| patch | original | found by | seeds | seconds | virtual | says | others |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (mutant, outcome) in rows.iter().filter(|(mutant, _)| is_missed(mutant)) {
        let id = format!("[{}](wrong/{0}.patch) | {}", mutant.id(), mutant.go);
        let (Some(kill), Outcome::Failed { failed, .. }) = (outcome.kill(), outcome) else {
            let _ = writeln!(text, "| {id} | **nothing** | | | | | |");
            continue;
        };
        let Kill { test, seeds, virtual_seconds, wall_seconds } = kill;
        let said = failed.iter().find(|failed| failed.test == *test);
        let said = said
            .map_or(String::new(), |Failed { verdict, title, .. }| format!("{verdict}: {title}"));
        let _ = writeln!(
            text,
            "| {id} | {test} | {seeds} | {wall_seconds:.1} | {virtual_seconds:.0} | {said} | {} |",
            failed.len() - 1
        );
    }
    text
}

/// Did the original's tests rarely or never fail it?
pub(crate) fn is_missed(mutant: &Mutant) -> bool {
    let number = mutant.number.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    let number = number.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).parse();
    let catalogued = number.is_ok_and(|number: u32| number < OURS);
    mutant.is_wrong() && catalogued && matches!(mutant.go.as_str(), "rarely" | "never")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(at(&[1.0, 2.0, 9.0], 50, 0), "2");
        assert_eq!(at(&[1.0, 2.0, 9.0], 100, 1), "9.0");
        assert_eq!(at(&[], 50, 0), "-");
    }

    #[test]
    fn only_what_the_original_was_tried_on_is_compared() {
        let mut mutant = Mutant::without_a_number("w", Lab::Raft, String::new());
        mutant.go = "never".to_owned();
        for (number, missed) in [("R01", true), ("R42b", true), ("R201", false), ("C01", false)] {
            number.clone_into(&mut mutant.number);
            assert_eq!(is_missed(&mutant), missed, "{number}");
        }
    }
}
