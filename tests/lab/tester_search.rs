//! The search, tested: its walk on toys whose trees are known, and a search that fails on purpose.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use labtester::search::{self, Choice, Deviation, Limits, Pace, Point, Walk, What};
use labtester::{Failure, Replay};
use raftapi::{EntryId, ServerId};

use crate::child::{fails, run};

// ---- the walk, on toys ----

const FAR: Limits = Limits { runs: u64::MAX, deviations: usize::MAX };

/// A toy run: so many points with these choices, whose states are told apart by `state`.
fn toy(
    deviations: &[Deviation],
    points: u32,
    choices: &'static [Choice],
    state: impl Fn(u32, &[Deviation]) -> u64,
) -> Vec<Point> {
    let point = |number| {
        let before: Vec<Deviation> =
            deviations.iter().copied().filter(|deviation| deviation.point < number).collect();
        let here = deviations.iter().find(|deviation| deviation.point == number);
        Point {
            at: Duration::ZERO,
            what: What::Applied { server: ServerId(0), id: EntryId::default() },
            choices,
            chosen: here.map(|deviation| deviation.choice),
            state: state(number, &before),
        }
    };
    (1..=points).map(point).collect()
}

/// Every history is a state of its own. (The hash is one to one: three bits for each deviation, and the point.)
fn all_differ(number: u32, before: &[Deviation]) -> u64 {
    let step = |hash: u64, deviation: &Deviation| {
        hash * 64 + u64::from(deviation.point) * 8 + 1 + deviation.choice as u64
    };
    before.iter().fold(u64::from(number), step) * 64 + u64::from(number)
}

/// All that a walk runs, in its order.
fn all_runs(walk: &mut Walk, run: impl Fn(&[Deviation]) -> Vec<Point>) -> Vec<Vec<Deviation>> {
    let mut runs = Vec::new();
    while let Some(deviations) = walk.next() {
        walk.met(&deviations, &run(&deviations));
        runs.push(deviations);
    }
    runs
}

/// Four points with two choices beside the usual one: 3 to the 4th histories.
#[test]
fn every_leaf_is_visited_once() {
    let run = |run: &[Deviation]| toy(run, 4, &[Choice::Lose, Choice::Delay], all_differ);
    let mut walk = Walk::new(FAR);
    let runs = all_runs(&mut walk, run);
    assert_eq!(runs.len(), 81);
    assert_eq!(runs.iter().collect::<BTreeSet<_>>().len(), 81);
    assert_eq!((walk.runs(), walk.exhausted()), (81, Some(usize::MAX)));
    let levels: Vec<u64> = walk.levels().iter().map(|level| level.runs).collect();
    assert_eq!(levels, [1, 8, 24, 32, 16], "n deviations: 4 over n times 2 to the n");
}

#[test]
fn the_bound_is_kept_and_runs_come_by_their_number_of_deviations() {
    let run = |run: &[Deviation]| toy(run, 6, &[Choice::Lose], all_differ);
    let mut walk = Walk::new(Limits { deviations: 2, ..FAR });
    let runs = all_runs(&mut walk, run);
    assert_eq!(runs.len(), 1 + 6 + 15);
    assert!(runs.is_sorted_by_key(Vec::len));
    assert_eq!(runs.last().unwrap().len(), 2);
    assert_eq!(walk.exhausted(), Some(2));
}

#[test]
fn what_a_budget_leaves_open_is_said() {
    let run = |run: &[Deviation]| toy(run, 6, &[Choice::Lose], all_differ);
    let exhausted = |runs| {
        let mut walk = Walk::new(Limits { runs, deviations: 3 });
        assert_eq!(all_runs(&mut walk, run).len() as u64, runs.min(42));
        walk.exhausted()
    };
    let after = [0, 1, 6, 7, 21, 22, 41, 42, 100].map(exhausted);
    let one = Some(1);
    assert_eq!(after, [None, Some(0), Some(0), one, one, Some(2), Some(2), Some(3), Some(3)]);
}

/// It fails if 2 and 5 are both forced, whatever else is.
#[test]
fn the_first_failure_has_the_fewest_deviations() {
    let run = |run: &[Deviation]| toy(run, 6, &[Choice::Lose, Choice::Delay], all_differ);
    let mut walk = Walk::new(FAR);
    let first = loop {
        let deviations = walk.next().unwrap();
        let points = run(&deviations);
        walk.met(&deviations, &points);
        let lost = |number: usize| points[number - 1].chosen == Some(Choice::Lose);
        if lost(2) && lost(5) {
            break deviations;
        }
    };
    let lose = |point| Deviation { point, choice: Choice::Lose };
    assert_eq!(first, [lose(2), lose(5)]);
}

/// A toy that forgets what was before: each choice is tried once, and no choice is left out.
#[test]
fn in_an_equal_state_a_choice_is_tried_once() {
    let run = |run: &[Deviation]| {
        toy(run, 5, &[Choice::Lose, Choice::Delay], |number, _| u64::from(number))
    };
    let mut walk = Walk::new(FAR);
    assert_eq!(all_runs(&mut walk, run).len(), 1 + 5 * 2);
    assert_eq!((walk.states(), walk.exhausted()), (5, Some(usize::MAX)));
    let [none, one] = walk.levels() else { panic!("{:?}", walk.levels()) };
    assert_eq!((none.choices, none.repeated), (10, 0));
    assert_eq!((one.choices, one.repeated), (2 * 2 * (4 + 3 + 2 + 1), 2 * 2 * (4 + 3 + 2 + 1)));
}

/// Where it forgets only how it came there, what follows is tried once; where it does not, each time.
#[test]
fn states_that_differ_are_gone_through_each() {
    // Whether something was lost matters; which and how often does not.
    let run = |run: &[Deviation]| {
        let state = |number: u32, before: &[Deviation]| {
            u64::from(number) * 2 + u64::from(!before.is_empty())
        };
        toy(run, 5, &[Choice::Lose], state)
    };
    let mut walk = Walk::new(FAR);
    // Once with nothing lost before: 5; and once with something: 4, since before the first there is nothing.
    assert_eq!(all_runs(&mut walk, run).len(), 1 + 5 + 4);
    assert_eq!(walk.states(), 9);
}

// ---- a search of a cluster ----

/// With nothing forced, the first leader stays. (Not a rule: it fails on purpose.)
#[test]
#[ignore = "fails on purpose: run by another test"]
fn no_second_election() {
    let limits = Limits { runs: 200, deviations: 2 };
    labsystem::search("no second election", limits).ignored().run(|cluster| {
        search::commands(cluster, 1, Pace::OneByOne);
        let term = cluster.newest_term();
        if term.0 > 1 {
            Failure::liveness("a second election")
                .happened(format!("somebody is in {term}"))
                .raise();
        }
    });
}

#[test]
fn a_search_that_fails_prints_its_shortest_list_and_keeps_it() {
    let output = fails("tester_search::no_second_election");
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = |start: &str| {
        let found = printed.lines().find_map(|line| line.trim_start().strip_prefix(start));
        found.unwrap_or_else(|| panic!("no line {start}in:\n{printed}")).trim().to_owned()
    };
    assert!(line("besides    of ").ends_with("choices 1 were forced:"), "{printed}");
    let again = line("again ");
    let file = again.strip_prefix("LAB_REPLAY=").unwrap().split(' ').next().unwrap();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = std::fs::read_to_string(root.join(file)).unwrap();
    assert_eq!(text.parse::<Replay>().unwrap().kept.forced.len(), 1, "{text}");

    // The same failure at the same time, with the same choice in words.
    let again = run(Command::new(std::env::current_exe().unwrap())
        .args(["tester_search::no_second_election", "--exact", "--ignored"])
        .env("LAB_REPLAY", file));
    let replayed = String::from_utf8_lossy(&again.stdout);
    let words = printed.lines().skip_while(|line| !line.ends_with(" were forced:")).take(2);
    for wanted in printed.lines().filter(|line| line.starts_with("  happened ")).chain(words) {
        assert!(replayed.contains(wanted), "{wanted}\nis not in:\n{replayed}");
    }
}

#[test]
fn a_deviation_is_text() {
    let deviation = Deviation { point: 17, choice: Choice::Restart };
    assert_eq!(deviation.to_string(), "17 restart");
    assert_eq!("17 restart".parse(), Ok(deviation));
    for wrong in ["", "17", "0 lose", "-1 lose", "17 loses", "17 lose 3"] {
        assert_eq!(wrong.parse::<Deviation>(), Err(()), "{wrong}");
    }
}
