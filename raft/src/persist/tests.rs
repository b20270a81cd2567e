use raftapi::harness::Disk as _;

use super::*;
use crate::testing::{id, log};

fn disk() -> (Arc<Persister>, Disk) {
    let persister = Arc::new(Persister::new());
    let (disk, _) = Disk::open(Arc::clone(&persister));
    (persister, disk)
}

fn reopened(persister: &Persister) -> Saved {
    Disk::open(Arc::new(persister.copy())).1
}

#[test]
fn a_new_disk_holds_the_state_at_first_boot() {
    let (persister, _) = disk();
    let saved = reopened(&persister);
    assert_eq!((saved.term, saved.voted_for), (Term(0), None));
    assert_eq!(saved.log, log(id(0, 0), &[]));
}

#[test]
fn whatever_happens_to_the_log_the_last_save_is_read_back() {
    let (persister, mut disk) = disk();
    let history = [
        log(id(0, 0), &[1, 1, 1]),
        log(id(0, 0), &[1, 1, 1, 2, 2]), // appended
        log(id(0, 0), &[1, 1, 3]),       // a conflict, and a shorter log
        log(id(1, 2), &[3, 3, 3]),       // compacted and appended
        log(id(3, 5), &[]),              // compacted to the end
        log(id(3, 5), &[4]),             // appended
        log(id(6, 20), &[]),             // a snapshot from elsewhere
        log(id(6, 20), &[6, 7, 7]),      // appended
        log(id(6, 21), &[8]),            // compacted, and a conflict
    ];
    for (term, log) in (10..).map(Term).zip(&history) {
        assert!(disk.save(term, Some(ServerId(1)), log));
        let saved = Disk::open(Arc::clone(&persister)).1;
        assert_eq!((saved.term, saved.voted_for), (term, Some(ServerId(1))));
        assert_eq!(&saved.log, log);
    }
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    let (persister, mut disk) = disk();
    let log = log(id(0, 0), &[1, 2]);
    assert!(disk.save(Term(2), None, &log));
    assert!(!disk.save(Term(2), None, &log));
    assert!(disk.save(Term(2), Some(ServerId(0)), &log));
    assert_eq!(persister.saves(), 2);
}

#[test]
fn a_snapshot_and_the_shorter_log_are_one_save() {
    let (persister, mut disk) = disk();
    disk.save(Term(2), None, &log(id(0, 0), &[1, 2]));
    disk.save_with_snapshot(Term(2), None, &log(id(1, 1), &[2]), b"at 1".to_vec());
    assert_eq!(persister.saves(), 2);

    disk.save(Term(3), None, &log(id(1, 1), &[2])); // and later saves keep it
    let saved = reopened(&persister);
    assert_eq!(saved.snapshot, b"at 1");
    assert_eq!((saved.term, saved.log), (Term(3), log(id(1, 1), &[2])));
}

#[test]
#[should_panic(expected = "a saved Raft state is readable")]
fn a_state_that_nobody_saved_is_refused() {
    let persister = Arc::new(Persister::new());
    persister.save(b"not a Raft state".to_vec(), SnapshotWrite::Keep);
    let _ = Disk::open(persister);
}
