//! What is in the logs, read by the only one who can: their own code.
//!
//! A log is bytes to the tester, and so are its commands. But a Raft that is alone has a majority: one
//! that starts from what was saved commits all of that as soon as it is given another command, and
//! then applies it.

use std::collections::BTreeMap;
use std::sync::Arc;

use labrpc::Network;
use labrt::sim::{self, Config};
use labrt::thread;
use labrt::time::{Duration, sleep};
use parking_lot::Mutex;
use raftapi::{ApplyMsg, ServerId};

use super::disks::Save;
use crate::disk;
use crate::system::System;

/// Index and term of an entry, and its command.
pub(super) type Commands = BTreeMap<(u64, u64), Vec<u8>>;

/// What ends the log that is read.
const END: &[u8] = b"the end";

/// It is elected in less, and then applies all at once.
const LIMIT: Duration = Duration::from_secs(20);

/// All commands in these logs; none of a log whose Raft does not lead alone.
pub(super) fn read(system: System, logs: Vec<Save>) -> Commands {
    let commands = Arc::new(Mutex::new(Commands::new()));
    for log in logs {
        let found = Arc::clone(&commands);
        let config = Config { time_limit: Some(LIMIT), quiet: true, ..Config::with_seed(0) };
        // If it does not even start, there is nothing to be read.
        let _ = sim::run(config, move || apply_all(system, &log, &found));
    }
    let mut commands = commands.lock();
    std::mem::take(&mut *commands)
}

fn apply_all(system: System, log: &Save, found: &Mutex<Commands>) {
    let network = Network::new();
    let disk = (log.state.clone(), log.snapshot.to_vec());
    let Some((node, raft, applies)) = disk::start(system, &network, ServerId(0), 1, disk) else {
        return;
    };
    let asked = Arc::clone(&raft);
    let asks = move || {
        while asked.start(END.to_vec()).is_err() {
            sleep(Duration::from_millis(50));
        }
    };
    if node.run(|| thread::spawn(asks)).is_err() {
        return;
    }
    while let Ok(message) = applies.recv() {
        match message {
            ApplyMsg::Command { command, .. } if command == END => break,
            ApplyMsg::Command { index, term, command } => {
                found.lock().insert((index.0, term.0), command);
            }
            ApplyMsg::Snapshot { .. } => {}
        }
    }
    drop(raft);
    node.kill();
}
