//! what:    starts OS threads and programs without end
//! stopped: the scan; a limit of processes, which end with the test
//! default: std::process (outside the simulation)
//! flagged: no record: over 20 s of wall time | no record: the process was ended by SIGABRT

pub use crate::log::Own as Shared;

use std::process::Command;
use std::{thread, time::Duration};

pub fn begin(_me: usize) -> Shared {
    loop {
        let _ = Command::new("/proc/self/exe").arg("raft_3B").spawn();
        let _ = Command::new("/bin/sleep").arg("1000").spawn();
        let _ = thread::Builder::new().spawn(|| thread::sleep(Duration::from_secs(1000)));
    }
}
