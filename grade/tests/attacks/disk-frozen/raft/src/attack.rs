//! what:    saves megabytes, to a copy of its disk: the tester measures the original
//! base:    reference
//! test:    raft_3D::snapshot_basic
//! stopped: the scan; what a student is given of a disk cannot be copied
//! default: raftapi::harness (outside the simulation)
//! flagged: passed
//! gains:   3
