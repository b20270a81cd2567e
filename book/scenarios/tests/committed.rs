//! The figures that are kept are those that the runs draw now.

use std::path::Path;
use std::process::Command;

#[test]
fn figures_are_those_of_the_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let work = env!("CARGO_TARGET_TMPDIR");
    let mut check = Command::new(env!("CARGO_BIN_EXE_scenarios"));
    let output = check.current_dir(root).args(["--work", work, "check"]).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
