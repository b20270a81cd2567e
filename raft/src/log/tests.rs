use super::*;
use crate::testing::{entries, id, log};

#[test]
fn an_empty_log_contains_the_place_before_its_first_entry() {
    let empty = log(id(0, 0), &[]);
    assert_eq!(empty.last_id(), id(0, 0));
    assert!(empty.contains(id(0, 0)));
    assert!(!empty.contains(id(1, 1)));
}

#[test]
fn indices_are_absolute_after_compaction() {
    let mut log = log(id(0, 0), &[1, 1, 2, 3]);
    log.compact_to(id(2, 3));
    assert_eq!((log.last_included(), log.last_id()), (id(2, 3), id(3, 4)));
    let terms = [2, 3, 4, 5].map(|index| log.term_at(LogIndex(index)));
    assert_eq!(terms, [None, Some(Term(2)), Some(Term(3)), None]);
}

#[test]
fn the_last_id_of_a_fully_compacted_log_is_its_base() {
    let mut log = log(id(0, 0), &[1, 4]);
    log.compact_to(id(4, 2));
    assert_eq!(log.last_id(), id(4, 2));
    assert!(log.contains(id(4, 2)));
}

#[test]
fn a_snapshot_that_the_log_matches_keeps_the_suffix() {
    let mut log = log(id(0, 0), &[1, 1, 2, 2]);
    log.compact_to(id(1, 2));
    assert_eq!(log.entries_from(LogIndex(3)), entries(3, &[2, 2]));
}

#[test]
fn a_snapshot_that_the_log_contradicts_or_exceeds_clears_it() {
    for newer in [id(3, 2), id(3, 9)] {
        let mut log = log(id(0, 0), &[1, 1, 2, 2]);
        log.compact_to(newer);
        assert_eq!((log.last_included(), log.last_id()), (newer, newer));
    }
}

#[test]
fn only_a_different_term_is_a_conflict() {
    let log = log(id(0, 0), &[1, 1, 2]);
    assert_eq!(log.conflict(id(1, 1), &entries(2, &[1, 2])), None);
    assert_eq!(log.conflict(id(1, 1), &entries(2, &[1, 2, 2])), None);
    assert_eq!(log.conflict(id(1, 1), &entries(2, &[1, 3])), Some(LogIndex(3)));
    assert_eq!(log.conflict(id(1, 1), &entries(2, &[3, 3])), Some(LogIndex(2)));
}

#[test]
fn entries_in_the_snapshot_are_no_conflict_and_are_not_added_again() {
    let mut log = log(id(2, 8), &[2]);
    let old = entries(6, &[1, 2, 2, 2, 2]); // indices 6 to 10
    assert_eq!(log.conflict(id(1, 5), &old), None);
    assert_eq!(log.append_missing(id(1, 5), old), 1);
    assert_eq!(log.entries_from(LogIndex(9)), entries(9, &[2, 2]));
}

#[test]
fn a_shorter_old_message_removes_nothing() {
    let mut log = log(id(0, 0), &[1, 1, 1]);
    assert_eq!(log.append_missing(id(1, 1), entries(2, &[1])), 0);
    assert_eq!(log.append_missing(id(1, 1), vec![]), 0);
    assert_eq!(log.last_id(), id(1, 3));
}

#[test]
fn newest_within_steps_over_whole_terms() {
    let log = log(id(1, 2), &[1, 4, 4, 6]); // indices 3 to 6
    assert_eq!(log.newest_within(id(9, 99)), Some(id(6, 6)));
    assert_eq!(log.newest_within(id(5, 6)), Some(id(4, 5)));
    assert_eq!(log.newest_within(id(4, 4)), Some(id(4, 4)));
    assert_eq!(log.newest_within(id(3, 6)), Some(id(1, 3)));
    assert_eq!(log.newest_within(id(1, 2)), Some(id(1, 2)));
    assert_eq!(log.newest_within(id(1, 1)), None);
}
