//! Systematic search: small clusters, few commands, and every short list of forced choices.

use labtester::{Lab, search};

/// What three servers do with two commands is right, whatever message is lost or late and whoever crashes
/// when, as long as that is little (Raft 5, Figure 3).
#[test]
fn two_commands() {
    Lab::search("search: three servers, two commands", LIMITS).run(|cluster| {
        search::commands(cluster, 2);
    });
}

/// What is tried if nothing is said.
const LIMITS: search::Limits = search::Limits { runs: 4000, deviations: 3 };
