//! what:    saves nothing; a hook of the disk, which survives the crash, saves the dead server's memory
//! base:    reference
//! test:    raft_3C::persist_1
//! stopped: the scan; what a student is given of a disk has no hooks
//! default: raftapi::harness (outside the simulation)
//! flagged: passed
//! gains:   3
