//! Another service on the same layer: a queue, where executing an operation twice shows at once.

mod common;

use std::{collections::VecDeque, sync::Arc};

use common::{Cluster, Server, millis, on_many_seeds, terrible, within};
use kvraft::rsm::{ClientId, Rsm, StateMachine, SubmitError};
use labgob::{DecodeError, Decoder, Encoder};
use labrpc::{ClientEnd, Conditions, Rpc, Service};
use labrt::{
    sync::Mutex,
    thread,
    time::{Duration, sleep},
};
use raft::{Persister, Raft};
use serde::{Deserialize, Serialize};

/// First in, first out.
#[derive(Clone, Default)]
struct Queue {
    items: VecDeque<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Op {
    Push(String),
    Pop,
}

impl StateMachine for Queue {
    type Op = Op;
    type Output = Option<String>;

    fn apply(&mut self, op: Op) -> Option<String> {
        match op {
            Op::Push(item) => {
                self.items.push_back(item);
                None
            }
            Op::Pop => self.items.pop_front(),
        }
    }

    fn snapshot(&self, to: &mut Encoder) {
        to.encode(&self.items);
    }

    fn restore(from: &mut Decoder<'_>) -> Result<Queue, DecodeError> {
        Ok(Queue { items: from.decode()? })
    }
}

#[derive(Serialize, Deserialize)]
struct Request(ClientId, u64, Op);

impl Rpc for Request {
    const METHOD: &'static str = "Queue.Op";
    type Reply = Result<Option<String>, SubmitError>;
}

impl Server for Rsm<Queue> {
    fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        disk: Arc<Persister>,
        max_raft_state: Option<usize>,
    ) -> Rsm<Queue> {
        Rsm::new(ends, me, disk, max_raft_state, Queue::default())
    }

    fn service(&self) -> Service {
        let rsm = self.clone();
        Service::new()
            .on(move |Request(client, seq, op)| rsm.submit(client, seq, op))
            .and(Rsm::raft(self).service())
    }

    fn raft(&self) -> &Raft {
        Rsm::raft(self)
    }
}

/// The simplest client: asks one after the other until it has an answer.
struct Client {
    id: ClientId,
    seq: u64,
    ends: Vec<ClientEnd>,
}

impl Client {
    fn of(cluster: &Cluster<Rsm<Queue>>, id: u128) -> Client {
        let ends = cluster.ends(&cluster.client_node(), &cluster.all());
        Client { id: ClientId(id), seq: 0, ends }
    }

    fn execute(&mut self, op: Op) -> Option<String> {
        self.seq += 1;
        let request = Request(self.id, self.seq, op);
        for attempt in 0.. {
            if let Ok(Ok(output)) = self.ends[attempt % self.ends.len()].call(&request) {
                return output;
            }
            sleep(millis(5));
        }
        unreachable!("it tries for ever")
    }
}

/// Two clients push, two pop, while messages are lost and doubled and servers crash.
#[test]
fn each_item_is_popped_once_and_in_order() {
    on_many_seeds(|| {
        let mut cluster: Cluster<Rsm<Queue>> = Cluster::of(3, Some(500));
        cluster.network.set_conditions(terrible());
        let popped = Arc::new(Mutex::new(Vec::new()));
        let mut clients = Vec::new();
        for pusher in 0..2_u128 {
            let mut client = Client::of(&cluster, pusher);
            clients.push(thread::spawn(move || {
                for n in 0..20 {
                    client.execute(Op::Push(format!("{pusher}:{n}")));
                }
            }));
        }
        for popper in 2..4_u128 {
            let mut client = Client::of(&cluster, popper);
            let popped = Arc::clone(&popped);
            clients.push(thread::spawn(move || {
                while popped.lock().len() < 20 {
                    match client.execute(Op::Pop) {
                        Some(item) => popped.lock().push(item),
                        None => sleep(millis(5)),
                    }
                }
            }));
        }
        for victim in [0, 1, 2, 0] {
            sleep(millis(300));
            cluster.crash(victim);
            sleep(millis(100));
            cluster.start(victim);
        }
        for client in clients {
            client.join().expect("not killed");
        }

        cluster.network.set_conditions(Conditions::reliable());
        let mut last = Client::of(&cluster, 9);
        within(Duration::from_secs(3), "emptying the queue", || {
            while let Some(item) = last.execute(Op::Pop) {
                popped.lock().push(item);
            }
        });
        let mut popped = std::mem::take(&mut *popped.lock());
        assert_eq!(popped.len(), 40, "not each item once: {popped:?}");
        popped.sort();
        popped.dedup();
        assert_eq!(popped.len(), 40, "an item twice: {popped:?}");
    });
}

/// With one consumer the order is that of the pushes.
#[test]
fn items_come_in_order() {
    on_many_seeds(|| {
        let mut cluster: Cluster<Rsm<Queue>> = Cluster::of(3, Some(300));
        let mut client = Client::of(&cluster, 7);
        for n in 0..30 {
            client.execute(Op::Push(n.to_string()));
            if n % 10 == 9 {
                let leader = cluster.expect_leader();
                cluster.crash(leader);
                cluster.start(leader);
            }
        }
        let items: Vec<_> = (0..31).map(|_| client.execute(Op::Pop)).collect();
        let pushed: Vec<_> = (0..30).map(|n| Some(n.to_string())).chain([None]).collect();
        assert_eq!(items, pushed);
        assert!(cluster.disks.iter().any(|disk| disk.snapshot_size() > 0), "no snapshot");
    });
}

/// Who waits is answered as soon as it is known that the entry is lost, not when patience ends.
#[test]
fn a_lost_entry_is_answered_at_once() {
    on_many_seeds(|| {
        let cluster: Cluster<Rsm<Queue>> = Cluster::of(3, None);
        let old = cluster.expect_leader();
        cluster.partition(&[old]);
        sleep(millis(1500));
        let new = cluster.expect_leader_among(&cluster.all_but(old));
        // Submitted to the old leader just before the healing; its index is taken by another.
        let rsm = cluster.server(old).clone();
        let waiting = cluster.node(old).spawn(move || rsm.submit(ClientId(1), 1, Op::Pop));
        let rsm = cluster.server(new).clone();
        let other = cluster.node(new).spawn(move || rsm.submit(ClientId(2), 1, Op::Pop));
        assert_eq!(other.join().expect("not killed"), Ok(None));
        cluster.heal();
        let answer = within(millis(350), "the bad news", || waiting.join().expect("not killed"));
        assert_eq!(answer, Err(SubmitError::Unknown));
    });
}
