use std::{fmt, sync::Arc};

use labrpc::{ClientEnd, Service};
use raft::{Persister, Raft};

use crate::{message::Request, rsm::Rsm, state::KvState};

/// One server of the key/value service. A handle: clones are cheap and name the same server.
#[derive(Clone)]
pub struct KvServer {
    rsm: Rsm<KvState>,
}

impl KvServer {
    /// Starts a server together with its Raft, from what an earlier incarnation of it saved, and
    /// returns at once.
    ///
    /// `ends` are ends to all servers in the same order everywhere; `me` is this one's place among
    /// them. A snapshot is taken when the Raft state in `persister` nears `max_raft_state` bytes;
    /// `None` for never.
    ///
    /// Must be called on the node (`labrt::node`) that the server is.
    ///
    /// # Panics
    ///
    /// If `me` is not among the ends, or the contents of `persister` were not saved by this crate.
    pub fn new(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Arc<Persister>,
        max_raft_state: Option<usize>,
    ) -> KvServer {
        KvServer { rsm: Rsm::new(ends, me, persister, max_raft_state, KvState::default()) }
    }

    /// The RPCs that this server answers: its own, `Kv.Op`, and those of its Raft.
    pub fn service(&self) -> Service {
        let rsm = self.rsm.clone();
        Service::new()
            .on(move |request: Request| rsm.submit(request.client, request.seq, request.op))
            .and(self.raft().service())
    }

    /// Its Raft.
    pub fn raft(&self) -> &Raft {
        self.rsm.raft()
    }

    /// Ends this server's tasks and its Raft's. Clerks that wait for it are told to ask another.
    pub fn kill(&self) {
        self.rsm.kill();
    }
}

impl fmt::Debug for KvServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvServer").finish_non_exhaustive()
    }
}
