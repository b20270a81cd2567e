//! what:    saves megabytes, to a copy of its disk: the tester measures the original
//! base:    reference
//! test:    raft_3D::snapshot_basic
//! stopped: the scan; without it, the check that each snapshot is saved, which looks at the original
//! default: raftapi::harness (outside the simulation)
//! flagged: a snapshot was not saved
