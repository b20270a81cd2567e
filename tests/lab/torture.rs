//! Torture: campaigns in which the seed chooses the environment as well. They are worth no points.

use labtester::torture;

/// Whatever befalls servers and links, Raft's properties hold; and when it is over for a majority,
/// that goes on (Raft 5, Figure 3).
#[test]
fn raft() {
    labsystem::torture_raft().run(|cluster| {
        torture::raft(cluster);
    });
}

/// Whatever befalls servers and links, what clients see is linearizable; and when it is over for a
/// majority, that serves them (Raft 8).
#[test]
fn kv() {
    labsystem::torture_kv().run_kv(|kv| {
        torture::kv(kv);
    });
}
