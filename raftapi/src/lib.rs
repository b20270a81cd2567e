//! What the lab fixes between a Raft, its service and its tester.
