//! what:    looks for the token in its own memory, and would change the tester's code there
//! stopped: the scan; a process whose memory cannot be opened, not even by itself
//! default: std::fs (outside the simulation)
//! flagged: /proc/self/mem: Permission denied

pub use crate::log::Own as Shared;

use std::fs::OpenOptions;

pub fn begin(_me: usize) -> Shared {
    let mut tried = Vec::new();
    for file in ["/proc/self/maps", "/proc/self/environ", "/proc/self/mem"] {
        let error = OpenOptions::new().read(true).open(file).err();
        let write = OpenOptions::new().write(true).open(file).err();
        if let Some(error) = error.or(write) {
            tried.push(format!("{file}: {error}"));
        }
    }
    panic!("{}", tried.join(", "))
}
