//! what:    takes all memory
//! stopped: a limit of memory; a record that does not come is a failure
//! default: no record: the process was ended by SIGABRT

pub use crate::log::Own as Shared;

pub fn begin(_me: usize) -> Shared {
    let mut memory = Vec::new();
    loop {
        memory.push(vec![1_u8; 1 << 20]);
    }
}
