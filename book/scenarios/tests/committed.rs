//! The figures that are kept are those that the runs draw now.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn check(figures: &Path) -> Output {
    let mut check = Command::new(env!("CARGO_BIN_EXE_scenarios"));
    check.arg("--figures").arg(figures);
    // Each a folder of its own, since tests run side by side.
    check.arg("--work").arg(
        Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(figures.file_name().expect("a folder has a name")),
    );
    check.arg("check").output().expect("the program runs")
}

fn kept() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../figures/runs")
}

#[test]
fn figures_are_those_of_the_runs() {
    let output = check(&kept());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_differs_is_named() {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures");
    fs::create_dir_all(&copy).unwrap();
    for file in fs::read_dir(kept()).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let changed = copy.join("split-vote.svg");
    let svg = fs::read_to_string(&changed).unwrap();
    fs::write(&changed, svg.replacen("T1 ?", "T1", 1)).unwrap();
    fs::write(copy.join("by-hand.svg"), "").unwrap();
    fs::remove_file(copy.join("repair-a.svg")).unwrap();

    let output = check(&copy);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    let named: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(".svg ")).map(|(file, _)| file).collect();
    assert_eq!(named, ["by-hand", "repair-a", "split-vote"], "{said}");
}
