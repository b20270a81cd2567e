//! Threads, time, locks and channels for lab code, as one deterministic simulation.
