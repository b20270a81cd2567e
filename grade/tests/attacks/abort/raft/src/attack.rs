//! what:    ends the process by a signal
//! stopped: the scan; a record that does not come is a failure
//! default: std::process (outside the simulation)
//! flagged: no record: the process was ended by SIGABRT

pub use crate::log::Own as Shared;

pub fn begin(_me: usize) -> Shared {
    std::process::abort()
}
