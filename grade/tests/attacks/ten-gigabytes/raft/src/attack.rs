//! what:    prints ten gigabytes
//! stopped: a limit of what is printed
//! default: no record: over 4194304 bytes were printed

pub use crate::log::Own as Shared;

pub fn begin(_me: usize) -> Shared {
    let line = "x".repeat(1 << 20);
    for _ in 0..10 << 10 {
        println!("{line}");
    }
    Shared::default()
}
