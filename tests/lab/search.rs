//! Systematic search: small clusters, few commands, and every short list of forced choices.

use labtester::search::{self, Limits, Pace};

/// What three servers do with two commands is right, whatever message is lost or late and whoever crashes
/// when, as long as that is little (Raft 5, Figure 3).
#[test]
fn two_commands() {
    labsystem::search("search: two commands, one by one", LIMITS).run(|cluster| {
        search::commands(cluster, 2, Pace::OneByOne);
    });
}

/// The same if the second command comes before the first is committed (Raft 5.3).
#[test]
fn two_commands_together() {
    labsystem::search("search: two commands, together", LIMITS).run(|cluster| {
        search::commands(cluster, 2, Pace::Together);
    });
}

/// What is tried if nothing is said.
const LIMITS: Limits = Limits { runs: 4000, deviations: 3 };
