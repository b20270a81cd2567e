//! What a cluster does while choices are tried.

use super::steer::Steer;
use crate::cluster::Cluster;
use crate::expect::PROGRESS;

/// A leader is elected; so many commands are given, each to whoever leads when the one before has had its
/// effect; whoever is down comes back; and when nothing befalls anybody any more, all agree.
pub fn commands(cluster: &Cluster, commands: u32) {
    let steer = Steer::begin(cluster);
    for _ in 0..commands {
        steer.quiet(cluster);
        if let Some((_, leader)) = cluster.leader_now() {
            steer.gives();
            let _ = cluster.propose(leader);
        }
    }
    steer.quiet(cluster);
    steer.bring_back(cluster);
    steer.quiet(cluster);
    steer.end();
    steer.bring_back(cluster);
    cluster.expect_agreement_on(&cluster.command(), cluster.len(), PROGRESS);
}
