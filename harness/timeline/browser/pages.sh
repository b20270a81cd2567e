#!/usr/bin/env bash
# Makes the pages that the browser tests open, in the folder given: of recorded failures, of runs that
# pass now, of a test that fails on purpose, of two runs side by side, and of long ones.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "$1"
pages=$(cd "$1" && pwd)
rm -f "$pages"/*.html
cd "$root"
cargo build --quiet -p timeline
timeline() { "${CARGO_TARGET_DIR:-target}/debug/timeline" "$@"; }

runs=harness/timeline/browser/runs
for run in "$runs"/*.json; do timeline "$run" --html "$pages/$(basename "$run" .json).html"; done
lab="${CARGO_TARGET_DIR:-target}/lab"
rm -f "$lab"/recorder.* "$lab"/raft_3A.* "$lab"/raft_3D.snapshot_install_un_crash* "$lab"/kvraft_4B.snapshot_size*
LAB_TRACE=always LAB_RUNS=1 cargo test --quiet -p labtests -- \
    raft_3A raft_3D::snapshot_install_un_crash kvraft_4B::snapshot_size
if cargo test --quiet -p labtests -- recorder::fails_on_purpose --exact --ignored > "$pages/failed.txt" 2>&1; then
    echo 'the test that fails on purpose passed' >&2
    exit 1
fi
# The same test and seed as in figure-8.json, with a right server.
LAB_TRACE=always LAB_SEED=0x46b3647 cargo test --quiet -p labtests -- raft_3C::figure_8 --exact
timeline compare "$runs/figure-8.json" "$lab/raft_3C.figure_8-0x46b3647.html" --html "$pages/compared.html"
cp "$lab"/recorder.* "$lab"/raft_3A.* "$lab"/raft_3D.snapshot_install_un_crash* "$lab"/kvraft_4B.snapshot_size* "$pages"

# Some 10,000 calls, and some 100,000.
node harness/timeline/browser/repeat.mjs "$runs/vote-lost-in-a-crash.json" 70 "$pages/long.json"
timeline "$pages/long.json" --html "$pages/long.html"
node harness/timeline/browser/repeat.mjs "$runs/vote-lost-in-a-crash.json" 700 "$pages/longest.json"
timeline "$pages/longest.json" --html "$pages/longest.html"
rm "$pages"/*.json
