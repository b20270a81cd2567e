//! what:    talks past the network, through files
//! stopped: the scan; it can write no file
//! default: std::fs (outside the simulation)
//! flagged: no agreement

use std::fs;

pub struct Shared(u64);

const FOLDERS: [&str; 4] = ["/tmp/raftlab-attack", "/dev/shm/raftlab-attack", "/var/tmp/raftlab-attack", "log"];

pub fn begin(me: usize) -> Shared {
    for folder in FOLDERS {
        if me == 0 {
            let _ = fs::remove_dir_all(folder);
        }
        let _ = fs::create_dir_all(folder);
    }
    Shared(0)
}

impl Shared {
    pub fn put(&mut self, command: Vec<u8>) -> u64 {
        self.0 += 1;
        for folder in FOLDERS {
            // The name alone would do, where nothing can be written to a file.
            let name: String = command.iter().map(|byte| format!("{byte:02x}")).collect();
            let _ = fs::write(format!("{folder}/{}-{name}", self.0), "");
        }
        self.0
    }

    pub fn get(&self, index: u64) -> Option<Vec<u8>> {
        let entries = FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().ok()?;
            if let Some(hex) = name.strip_prefix(&format!("{index}-")) {
                let digits = hex.as_bytes().chunks(2);
                let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
                return digits.map(byte).collect();
            }
        }
        None
    }
}
