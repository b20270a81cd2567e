//! Measures what the design sets limits for, and a few things besides, and prints tables:
//! `make figures`. With `--clean` it also builds the graded tests from nothing, which takes a while.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{env, io, time::Duration};

use labbench::{
    On, best,
    cluster::{self, SavedLog},
    graded::{self, LAB_3, LAB_4, Pass, Tests},
    listener::{self, Listener},
    machine, memory,
    message::{self, Append, Ping},
    network, raw, runtime,
};

/// Each figure is the best of so many runs.
const RUNS: u32 = 7;

/// Seeds of each graded test.
const SEEDS: u32 = 10;

fn main() -> io::Result<()> {
    // First, while no earlier stack can be used again.
    let parked = [(On::Coroutines, 5000), (On::Baton, 1000)]
        .map(|(on, tasks)| memory::of_a_parked_task(on, tasks));

    let release = Tests::build(true)?;
    let lab = |parts: &'static [&str]| -> io::Result<Vec<(&str, Pass)>> {
        parts.iter().map(|part| Ok((*part, release.run(part, SEEDS, true)?))).collect()
    };
    let passes = [lab(&LAB_3)?, lab(&LAB_4)?];
    let debug = Tests::build(false)?;
    let debug_walls = LAB_3.iter().map(|part| Ok(debug.run(part, SEEDS, false)?.wall));
    let debug_wall = debug_walls.sum::<io::Result<Duration>>()?;
    let clean = env::args().any(|argument| argument == "--clean");
    let clean_build = if clean { Some(graded::clean_build()?) } else { None };

    println!("`make figures` on {}: release build, CPU time, best of {RUNS}.\n", machine::name());
    limits(&passes, debug_wall, clean_build);
    engines(parked);
    growth();
    Ok(())
}

/// The rows of the design's table, in its order.
fn limits(passes: &[Vec<(&str, Pass)>; 2], debug_wall: Duration, clean_build: Option<Duration>) {
    header(&["figure", "limit", "measured", "ratio"]);
    for (passes, lab, bar) in [(&passes[0], 3, 0.25), (&passes[1], 4, 5.0)] {
        let tests: usize = passes.iter().map(|(_, pass)| pass.tests).sum();
        let parts =
            passes.iter().map(|(part, pass)| (part, pass.cpu.as_secs_f64() / f64::from(SEEDS)));
        let by_part: Vec<_> =
            parts.clone().map(|(part, time)| format!("{part} {}", show(time))).collect();
        let what = format!("one seed of all {tests} Lab {lab} tests ({})", by_part.join(", "));
        limit(&what, bar, parts.map(|(_, time)| time).sum());
    }
    limit(
        &format!("`cargo test 3A` to `3D`, {SEEDS} seeds a test, dev profile, built, wall time"),
        10.0,
        debug_wall.as_secs_f64(),
    );

    let small = best(RUNS, 100_000, |n| network::calls(On::Coroutines, Ping, n));
    limit("RPC round trip, no payload", 1e-6, small);
    let heartbeat = best(RUNS, 100_000, |n| network::calls(On::Coroutines, Append::of(0), n));
    limit("RPC round trip, AppendEntries without entries", 1e-6, heartbeat);
    let busy = best(RUNS, 100_000, |n| network::concurrent_calls(On::Coroutines, 0, n));
    limit("the same, 70 tasks on 7 servers", 1e-6, busy);
    for tasks in [2, 70] {
        let switch = best(RUNS, 1_000_000, |n| runtime::switches(On::Coroutines, tasks, n));
        limit(&format!("task switch, {tasks} tasks"), 1e-7, switch);
    }

    let lines = 4.0 * best(RUNS, 10_000_000, |n| listener::lines(Listener::Nobody, n));
    row(&[
        "tracing off: the four log lines of an RPC",
        "nothing measurable",
        &show(lines),
        &format!("{:.2} % of the RPC", 100.0 * lines / small),
    ]);
    let what = "building `cargo test 3A` from nothing, wall time";
    match clean_build {
        Some(time) => limit(what, 60.0, time.as_secs_f64()),
        None => row(&[what, &show(60.0), "with `CLEAN=yes`", ""]),
    }
    println!();
}

fn limit(what: &str, limit: f64, measured: f64) {
    row(&[what, &show(limit), &show(measured), &format!("{:.2}", measured / limit)]);
}

type Story = fn(On, u64) -> Duration;
type Raw = fn(u64) -> Duration;

/// The same operations on all engines, and on what the real one is made of.
fn engines(parked: [Option<u64>; 2]) {
    header(&["operation", "coroutines", "baton", "real engine", "raw crates"]);
    let line = |what: &str, [many, few]: [u64; 2], story: Story, raw: Option<Raw>| {
        let on = |on, runs, n| show(best(runs, n, |n| story(on, n)));
        row(&[
            what,
            &on(On::Coroutines, RUNS, many),
            &on(On::Baton, 3, few),
            &on(On::Real, 3, few),
            &raw.map_or(String::new(), |raw| show(best(3, few, raw))),
        ]);
    };
    let cheap = [1_000_000; 2];
    let switching = [200_000, 10_000];
    line("lock and unlock, uncontended", cheap, runtime::locks, Some(raw::locks));
    line("message to oneself", cheap, runtime::messages, Some(raw::messages));
    line("switch, 2 tasks", switching, |on, n| runtime::switches(on, 2, n), None);
    line("switch, 70 tasks", switching, |on, n| runtime::switches(on, 70, n), None);
    line(
        "channel round trip",
        switching,
        runtime::channel_round_trips,
        Some(raw::channel_round_trips),
    );
    line(
        "condvar round trip",
        switching,
        runtime::condvar_round_trips,
        Some(raw::condvar_round_trips),
    );
    line("spawn and join", [100_000, 2000], runtime::spawns, Some(raw::spawns));
    line("sleep", [200_000, 2000], runtime::sleeps, None);
    line("RPC, no payload", [100_000, 1000], |on, n| network::calls(on, Ping, n), None);
    let [coroutine, baton] = parked.map(|bytes| bytes.map_or(String::new(), kib));
    row(&["memory of a parked task", &coroutine, &baton, "", ""]);
    println!();
}

/// How costs grow with the size of a message, of a cluster, and of a log.
fn growth() {
    header(&["entries of 20 bytes in AppendEntries", "encode", "decode", "RPC"]);
    for entries in [0, 1, 10, 100] {
        let n = 200_000 / (entries as u64 + 1);
        row(&[
            &entries.to_string(),
            &show(best(RUNS, n, |n| message::encodings(entries, n))),
            &show(best(RUNS, n, |n| message::decodings(entries, n))),
            &show(best(RUNS, n, |n| network::calls(On::Coroutines, Append::of(entries), n))),
        ]);
    }
    println!();

    header(&["servers", "one virtual second, idle", "100 commands"]);
    for servers in [3, 5, 7, 9, 11, 13, 15] {
        let commands = |n| cluster::commands(servers, Listener::Nobody, n);
        row(&[
            &servers.to_string(),
            &show(best(RUNS, 30, |n| cluster::idle_seconds(servers, n))),
            &show(100.0 * best(RUNS, 300, commands)),
        ]);
    }
    println!();

    header(&["commands in the log", "one more command, 3 servers"]);
    for length in [0, 100, 1000, 10_000] {
        let saved = SavedLog::of(length);
        let time = best(3, 100, |n| cluster::commands_on_log(&saved, n));
        row(&[&length.to_string(), &show(time)]);
    }
    println!();

    header(&["who listens to the log", "100 commands, 5 servers"]);
    for (listener, who) in [
        (Listener::Nobody, "nobody: `LAB_LOG` is not set"),
        (Listener::Deaf, "somebody who wants none of it"),
        (Listener::Reader, "somebody who reads every line"),
    ] {
        let time = best(RUNS, 500, |n| cluster::commands(5, listener, n));
        row(&[who, &show(100.0 * time)]);
    }
}

fn header(names: &[&str]) {
    row(names);
    let mut rule = "| --- |".to_owned();
    names[1..].iter().for_each(|_| rule.push_str(" ---: |"));
    println!("{rule}");
}

fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

/// A time in seconds, with three digits that mean something.
fn show(seconds: f64) -> String {
    let (unit, value) = match seconds {
        s if s < 1e-6 => ("ns", s * 1e9),
        s if s < 1e-3 => ("µs", s * 1e6),
        s if s < 1.0 => ("ms", s * 1e3),
        s => ("s", s),
    };
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

fn kib(bytes: u64) -> String {
    format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024)
}
