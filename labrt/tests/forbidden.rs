//! `clippy.toml` forbids lab code what would escape the simulation, and says what to use instead.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Lab code as somebody might write it who has not read the rules.
const BAD: &str = r"
use std::collections::{HashMap, HashSet};
use std::sync::{Barrier, Condvar, Mutex, RwLock, mpsc};
use std::time::{Duration, Instant, SystemTime};

pub struct Bad {
    pub a: Mutex<u8>, pub b: RwLock<u8>, pub c: Condvar, pub d: Barrier,
    pub e: HashMap<u8, u8>, pub f: HashSet<u8>, pub g: std::hash::RandomState,
}

pub fn bad() {
    std::thread::sleep(Duration::from_millis(1));
    std::thread::spawn(|| ());
    std::thread::scope(|_| ());
    std::thread::yield_now();
    std::thread::park();
    std::thread::park_timeout(Duration::from_millis(1));
    let _ = std::thread::Builder::new();
    let _ = Instant::now();
    let _ = SystemTime::now();
    let _ = mpsc::channel::<u8>();
    let _ = mpsc::sync_channel::<u8>(1);
    let _ = std::collections::hash_map::RandomState::new();
}
";

#[test]
fn every_forbidden_item_is_found_with_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let rules = fs::read_to_string(root.join("clippy.toml")).expect("clippy.toml");
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forbidden");
    fs::create_dir_all(package.join("src")).expect("the test's own directory");
    let manifest = "[package]\nname = \"forbidden\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(package.join("Cargo.toml"), manifest).expect("writable");
    fs::write(package.join("src/lib.rs"), BAD).expect("writable");
    let output = Command::new(env!("CARGO"))
        .args(["clippy", "--offline", "--quiet"])
        .current_dir(&package)
        .env("CLIPPY_CONF_DIR", root)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .output()
        .expect("cargo can be run");
    let text = String::from_utf8_lossy(&output.stderr);
    let forbidden: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ path = \""))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(forbidden.len() >= 19, "{forbidden:?}");
    for item in forbidden {
        assert!(text.contains(&format!("`{item}`")), "{item} was not found in:\n{text}");
    }
    assert!(text.contains("use labrt::time::sleep: virtual time does not pass here"), "{text}");
}
