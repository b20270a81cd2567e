//! Printing.

use std::io::{self, Write as _};

/// Prints to standard output. A reader that has gone away is no reason to stop.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
