//! what:    code that runs before main, and so before the tester
//! stopped: the scan; `unsafe` is forbidden by the manifest
//! default: unsafe (unsafe code)
//! flagged: note: requested on the command line with `-F unsafe-code`

pub use crate::log::Own as Shared;

#[unsafe(link_section = ".init_array")]
#[used]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    std::process::exit(0)
}

pub fn begin(_me: usize) -> Shared {
    Shared::default()
}
