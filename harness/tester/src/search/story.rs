//! What a cluster does while choices are tried.

use labrt::time::Duration;

use super::steer::Steer;
use crate::cluster::Cluster;
use crate::expect::PROGRESS;

/// When commands are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Each when the one before has had its effect, so perhaps to another leader.
    OneByOne,
    /// One after the other, while messages about the one before are under way.
    Together,
}

/// Less than a round trip.
const TOGETHER: Duration = Duration::from_micros(300);

/// A leader is elected; so many commands are given, each to whoever leads then; whoever is down comes
/// back; and when nothing befalls anybody any more, all agree.
pub fn commands(cluster: &Cluster, commands: u32, pace: Pace) {
    let steer = Steer::begin(cluster);
    for n in 0..commands {
        if n > 0 && pace == Pace::Together {
            cluster.sleep(TOGETHER);
        } else {
            steer.quiet(cluster);
        }
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
