#!/usr/bin/env bash
# A sweep on a Slurm cluster, as a job array:
#
#   sbatch --array=1-16 grade/clusters/slurm.sh          1,000 seeds of every graded test, in 16 parts
#   grade merge sweep-*.json                             when all are done
#
# Each job asks Slurm which part of the array it is (SLURM_ARRAY_TASK_ID, _COUNT, _MIN, _STEP). On a time limit
# Slurm sends SIGTERM first, and the sweep writes what it has.
#SBATCH --job-name=raftlab-sweep
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=01:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --output=sweep-%a.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
# A folder of its own: jobs on one file system would wait for each other's builds.
export CARGO_TARGET_DIR="${TMPDIR:-/tmp}/raftlab-$SLURM_ARRAY_TASK_ID"
exec cargo run --locked --release -p grade -- sweep \
    --runs "${RUNS:-1000}" --jobs "${SLURM_CPUS_PER_TASK:-1}" --out "sweep-$SLURM_ARRAY_TASK_ID.json" "$@"
