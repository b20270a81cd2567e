#!/usr/bin/env bash
# Once, when Gradescope builds the image, as root and with a network: a compiler, the grader, and a
# build of everything that is the same for all submissions.
set -euo pipefail
. "${AUTOGRADER_ROOT:-/autograder}/source/environment"

if ! command -v cc > /dev/null; then
    apt-get update
    apt-get install -y --no-install-recommends ca-certificates curl gcc libc6-dev
fi
if ! rustc --version 2> /dev/null | grep -q "^rustc ${rust%.*}\."; then
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
        sh -s -- -y --no-modify-path --profile minimal --default-toolchain "$rust"
fi

# From here on without a network. One job at a time: the compiler's memory is what is scarce.
mkdir -p "$CARGO_HOME"
rm -rf "$CARGO_HOME/vendor"
mv "$root/source/vendor" "$CARGO_HOME/vendor"
cat > "$CARGO_HOME/config.toml" << CONFIG
[build]
jobs = 1
[net]
offline = true
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "$CARGO_HOME/vendor"
CONFIG

# Nobody but root reads tests, policy and results.
mkdir -p "$root/results"
chmod -R o= "$root/source" "$root/results"

cd "$root/source/workspace"
CARGO_TARGET_DIR=$root/grader cargo build --quiet --locked --release -p grade
# Grading what was handed out builds all that it shares with submissions.
"$root/grader/release/grade" run "$root/source/workspace" --root "$root/source/workspace" \
    --build "$root/build" --out "$root/warm" --tests raft_3A::initial_election
rm -rf "$root/warm"
