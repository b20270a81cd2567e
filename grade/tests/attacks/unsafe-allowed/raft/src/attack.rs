//! what:    allows itself `unsafe`
//! stopped: the scan; `unsafe` is forbidden by the manifest
//! default: unsafe (unsafe code)
//! flagged: allow(unsafe_code) incompatible with previous forbid

#![allow(unsafe_code)]
pub use crate::log::Own as Shared;

pub fn begin(_me: usize) -> Shared {
    println!("{}", unsafe { *(8 as *const u8) });
    Shared::default()
}
