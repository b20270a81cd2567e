//! The table of explanations: what each wrong server's failure was reduced to, and what was pointed at.

use std::fmt::Write as _;

use labrecord::{Record, Shrunk};

use crate::judge::Judgement;
use crate::mutant::{Lab, Mutant};

/// What explains a failure, or why there is nothing.
pub(crate) type Explanation = Result<(Record, Judgement), String>;

/// A wrong server, and the explanation of its failure: with its view, and with a `view` that shows nothing.
pub(crate) struct Row<'a> {
    pub(crate) mutant: &'a Mutant,
    pub(crate) with: Explanation,
    pub(crate) without: Explanation,
}

/// Does it name the first wrong step?
pub(crate) fn is_right(explanation: &Explanation) -> bool {
    explanation.as_ref().is_ok_and(|(_, judgement)| judgement.is_right)
}

/// One line for one patch.
pub(crate) fn line(Row { mutant, with, without }: &Row) -> String {
    let without = match without {
        Ok((_, Judgement { points_at, is_right, .. })) => {
            format!("{} {points_at}", if *is_right { "right" } else { "WRONG" })
        }
        Err(problem) => format!("NOT EXPLAINED: {problem}"),
    };
    let text = match with {
        Ok((record, judgement)) => {
            let right = if judgement.is_right { "right" } else { "WRONG" };
            let shrunk = record.shrunk.as_ref();
            let shrunk = shrunk.map_or_else(|| "not shrunk".to_owned(), ToString::to_string);
            let Judgement { points_at, text, .. } = judgement;
            let Mutant { step, by, .. } = mutant;
            format!(
                "{:<31} {right}  {points_at} ({step}, {by}): {text}\n{:<31}        {shrunk}\n",
                mutant.id(),
                ""
            )
        }
        Err(problem) => format!("{:<31} NOT EXPLAINED: {problem}\n", mutant.id()),
    };
    format!("{text}{:<31}        without a view: {without}\n", "")
}

/// All of it as a file of this folder.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = format!(
        "# Failures explained\n\n\
         Made by `make explain`; do not edit. For each wrong server of [TABLE.md](TABLE.md) a test that fails it was run as a student \
         would run it, on one seed. *Shrunk* is the run before and after: faults, commands, lost or late messages. *Named* is \
         the title of the report and, if another of Raft's properties was found broken before, that one. *Points at* is the first \
         step in red on the page. It is right if it is the step that the patch makes wrong, taken by a server in the role in \
         which that code runs: each patch says which that is (`step:`, `by:` in its header), and was given these lines by reading \
         its diff, before its page was looked at. Of a failure to get on, which has no single wrong step, the page is right if it \
         points at the step that was not taken, on the server that did not take it. \
         *Without* is the same with a `view` that shows nothing, as in the hand-out, where only messages tell.\n\n{}",
        sums(rows)
    );
    for (lab, title) in [(Lab::Raft, "Rafts"), (Lab::Service, "Services")] {
        let _ = write!(
            text,
            "\n## {title}\n\n| patch | test | named | shrunk | time | wrong step | points at | | without |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        );
        for row in rows.iter().filter(|row| row.mutant.lab == lab) {
            text.push_str(&cells(row));
        }
    }
    text
}

fn cells(Row { mutant, with, without }: &Row) -> String {
    let id = format!("[{}](wrong/{0}.patch)", mutant.id());
    let without = match without {
        Ok((_, judgement)) if judgement.is_right => "right".to_owned(),
        Ok((_, judgement)) => format!("**wrong**: {}", judgement.points_at),
        Err(problem) => format!("**{problem}**"),
    };
    let (record, judgement) = match with {
        Ok(both) => both,
        Err(problem) => return format!("| {id} | **{problem}** | | | | | | | {without} |\n"),
    };
    let named = record.report.as_ref().map_or("", |report| &report.title);
    let before = record.broken_before.as_ref();
    let before = before.map_or(String::new(), |broken| format!("; before: {}", broken.title));
    let (size, time) = match &record.shrunk {
        Some(shrunk) => (size(shrunk), time(shrunk)),
        None => ("-".to_owned(), "-".to_owned()),
    };
    let right = if judgement.is_right { "right" } else { "**wrong**" };
    let said = judgement.text.replace('|', "\\|");
    let Mutant { step, by, .. } = mutant;
    format!(
        "| {id} | {} | {named}{before} | {size} | {time} | {}, {} | {}: {said} | {right} | {without} |\n",
        record.test,
        step.replace('|', " or "),
        by.replace('|', " or "),
        judgement.points_at,
    )
}

/// `38 → 4, 6 → 0, 0 → 0`.
fn size(shrunk: &Shrunk) -> String {
    let Shrunk { faults, commands, messages, .. } = shrunk;
    let [a, b, c] = [faults, commands, messages].map(|n| format!("{} → {}", n.from, n.to));
    format!("{a}, {b}, {c}")
}

fn time(shrunk: &Shrunk) -> String {
    let late = if shrunk.minimal { "" } else { ", time up" };
    format!("{:.1} s{late}", shrunk.seconds)
}

/// How many are right, and how long it took to shrink them.
pub(crate) fn sums(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | first wrong step named | without a view | not explained, with and without | shrunk to the end | seconds: median | nine of ten within | most |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let lab = |lab: Option<Lab>| {
        let in_lab = |row: &&Row| lab.is_none_or(|lab| row.mutant.lab == lab);
        rows.iter().filter(in_lab).collect::<Vec<_>>()
    };
    for (name, rows) in
        [("Lab 3", lab(Some(Lab::Raft))), ("Lab 4", lab(Some(Lab::Service))), ("all", lab(None))]
    {
        if rows.is_empty() {
            continue;
        }
        let share = |of: fn(&Row) -> bool| {
            let right = rows.iter().filter(|row| of(row)).count();
            format!("{right} of {} ({} %)", rows.len(), 100 * right / rows.len())
        };
        let missing = |of: fn(&Row) -> bool| rows.iter().filter(|row| of(row)).count();
        let shrunk = rows.iter().filter_map(|row| row.with.as_ref().ok()?.0.shrunk.as_ref());
        let minimal = shrunk.clone().filter(|shrunk| shrunk.minimal).count();
        let mut times: Vec<f64> = shrunk.map(|shrunk| shrunk.seconds).collect();
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(place).map_or("-".to_owned(), |time| format!("{time:.1}"))
        };
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {}, {} | {minimal} of {} | {} | {} | {} |",
            share(|row| is_right(&row.with)),
            share(|row| is_right(&row.without)),
            missing(|row| row.with.is_err()),
            missing(|row| row.without.is_err()),
            times.len(),
            at(50),
            at(90),
            at(100)
        );
    }
    text
}
