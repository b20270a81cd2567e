//! Which machine a figure was measured on.

use std::{fs, thread};

/// Its processor, where the system tells, and how many cores this process may use.
pub fn name() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let model = model.unwrap_or_else(|| "unknown processor".to_owned());
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    format!("{model}, {cores} core{}, {arch} {os}", if cores == 1 { "" } else { "s" })
}
