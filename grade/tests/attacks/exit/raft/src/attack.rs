//! what:    ends the process as if all were well
//! stopped: the scan; a record that does not come is a failure
//! default: std::process (outside the simulation)
//! flagged: no record: the process ended, with status 0 | no record: the process was ended by SIGABRT

pub use crate::log::Own as Shared;

pub fn begin(_me: usize) -> Shared {
    std::process::exit(0)
}
