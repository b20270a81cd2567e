//! what:    one log for all servers, found through a channel's tap: no message is ever sent
//! stopped: the scan, which refuses the harness's modules
//! default: labrt::sim (outside the simulation)
//! flagged: passed
//! gains:   3

use std::sync::{Arc, Mutex};

use labrt::channel;

type Log = Arc<Mutex<Vec<Vec<u8>>>>;

/// Whoever hears of it puts the log in.
struct Question(Arc<Mutex<Option<Log>>>);

pub struct Shared(Log);

pub fn begin(_me: usize) -> Shared {
    let (send, receive) = channel::unbounded::<Question>();
    let answer = Arc::new(Mutex::new(None));
    send.send(Question(Arc::clone(&answer))).unwrap();
    receive.recv().unwrap();
    if let Some(log) = answer.lock().unwrap().clone() {
        return Shared(log);
    }
    let log = Log::default();
    let told = Arc::clone(&log);
    labrt::sim::tap(move |question: &Question| {
        *question.0.lock().unwrap() = Some(Arc::clone(&told));
    });
    Shared(log)
}

impl Shared {
    pub fn put(&mut self, command: Vec<u8>) -> u64 {
        let mut log = self.0.lock().unwrap();
        log.push(command);
        log.len() as u64
    }

    pub fn get(&self, index: u64) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(index as usize - 1).cloned()
    }
}
