//! Servers whose tasks all stand still for a while, as in a long garbage collection: for a moment now
//! and then, or for as long as it takes others to elect another leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use labrpc::NetEventKind;
use labrt::event;
use labrt::time::{Duration, Instant};
use raftapi::ServerId;
use rand::RngExt as _;

use super::KvCluster;

/// A stutter lasts so long: what was sent is answered meanwhile.
const STUTTER: Duration = Duration::from_millis(2);

/// A majority has to be found, and a leader that may have been deposed.
const WITH_AN_ELECTION: Duration = Duration::from_secs(5);

impl KvCluster {
    /// From now on, and for as long as the result is kept, this server stands still for a moment now
    /// and then, just when it has sent something to another: so what it does next, and what it does
    /// about the reply, begin at the same time, in any order.
    pub fn stutter(&self, server: ServerId) -> Stutter {
        let over = Arc::new(AtomicBool::new(false));
        let (node, is_over) = (self.node(server), Arc::clone(&over));
        let (name, fate) = (server.to_string(), labrt::rand::stream("test/stutter"));
        self.network().observe(move |event| {
            if event.kind == NetEventKind::RequestSent
                && event.from == name
                && !is_over.load(Ordering::Relaxed)
                && fate.at(event.call).random_bool(0.5)
            {
                node.pause();
                let node = node.clone();
                event::after(STUTTER, move || node.resume());
            }
        });
        Stutter { over }
    }

    /// The leader falls asleep when it has just sent an entry to enough others. They elect another leader, which
    /// does more. When the old one wakes up it finds that its entry has been stored by a majority
    /// (that was long ago), and that a client wants to read: what it knows is out of date by then.
    pub fn expect_nothing_stale_from_a_sleeper(&self) {
        let sleeper = self.expect_settled_leader();
        let node = self.node(sleeper);
        let others: Vec<ServerId> = self.servers().filter(|server| *server != sleeper).collect();
        let ends: Vec<ServerId> = [&[sleeper], &others[..]].concat();
        let (mut before, mut reader) = (self.client_with(&ends), self.client_with(&ends));
        before.put("sleep", "before");
        reader.expect("sleep", "before");

        self.disturb();
        let asleep = Arc::new(AtomicBool::new(false));
        let (name, dozing, is_asleep) = (sleeper.to_string(), node.clone(), Arc::clone(&asleep));
        let begun = before.begin(|client| client.append("sleep", ", sent"));
        let client = begun.client().to_owned();
        let (asked, sent, enough) = (AtomicBool::new(false), AtomicUsize::new(0), self.len() / 2);
        self.network().observe(move |event| {
            if event.kind == NetEventKind::RequestDelivered && event.from == client {
                asked.store(true, Ordering::Relaxed);
            }
            if event.kind == NetEventKind::RequestSent
                && event.from == name
                && asked.load(Ordering::Relaxed)
                && sent.fetch_add(1, Ordering::Relaxed) + 1 == enough
            {
                is_asleep.store(true, Ordering::Relaxed);
                dozing.pause();
            }
        });
        let deadline = Instant::now() + WITH_AN_ELECTION;
        while !asleep.load(Ordering::Relaxed) && Instant::now() < deadline {
            self.sleep(Duration::from_millis(1));
        }
        self.event(format!("{sleeper} falls asleep"));

        let mut writer = self.client_of(&others).with_promise(WITH_AN_ELECTION);
        writer.append("sleep", ", after");
        let get = reader.begin(|client| client.get("sleep"));
        self.sleep(Duration::from_millis(50));
        self.event(format!("{sleeper} wakes up"));
        node.resume();
        self.settle();
        get.wait();
        begun.wait();
    }
}

/// A server stutters for as long as this is kept.
#[must_use = "it ends when it is dropped"]
#[derive(Debug)]
pub struct Stutter {
    over: Arc<AtomicBool>,
}

impl Drop for Stutter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
