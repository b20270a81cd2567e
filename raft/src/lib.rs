//! Raft, as the extended paper has it: the reference solution, and what a student replaces.
