//! Systematic search, bounded.

mod choice;
mod found;
mod steer;
mod story;
mod walk;

pub use choice::{Choice, Deviation, Forced, Point, What};
pub(crate) use found::{list, search};
pub use walk::{Level, Limits, Walk};

use crate::cluster::Cluster;
use crate::lab::Lab;

impl Lab {
    /// A search; no points.
    #[track_caller]
    pub const fn search(title: &'static str, limits: Limits) -> Lab {
        Lab::new("search", title, 0).searched(limits)
    }
}

/// The story that is searched: so many commands.
pub fn commands(cluster: &Cluster, commands: u32) {
    story::commands(cluster, commands);
}
