use std::{any::type_name, fmt, sync::Arc, sync::Weak, time::Duration};

use labrt::{node::Node, oneshot};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    content,
    delivery::{self, Answer, Encoded, Refusal, Shared},
    state::Route,
};

/// A request, and what the server answers to it.
pub trait Rpc: Serialize + DeserializeOwned + Send + 'static {
    /// `Service.Method`; servers find the handler by it.
    const METHOD: &'static str;
    /// What the handler returns.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// A call has no reply, and will have none.
///
/// A lost request and a lost reply look the same, as on a wire: the server may or may not have
/// executed the request, or may still do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no reply; the request may or may not have been executed")]
pub struct NoReply;

/// What one server holds to call another. Cheap to clone; any number of calls may be in progress.
///
/// It belongs to one incarnation of its owner: once that is dead, it has no path to anywhere.
#[derive(Clone)]
pub struct ClientEnd {
    /// The handlers of a network hold ends of the same network, so a strong reference would keep
    /// both alive for ever.
    network: Weak<Shared>,
    owner: Node,
    route: Arc<Route>,
}

impl ClientEnd {
    pub(crate) fn new(network: Weak<Shared>, owner: Node, route: Arc<Route>) -> ClientEnd {
        ClientEnd { network, owner, route }
    }

    /// Sends a request, and blocks the calling task until the reply or the network's refusal.
    ///
    /// That takes about a millisecond if all is well, and can take seconds if not: so hold no lock
    /// across a call, and call several servers from several tasks. There is no time limit of its
    /// own: a handler that never returns makes its caller wait until the server is gone.
    ///
    /// # Errors
    ///
    /// [`NoReply`]: a message was lost, the link is down, or the server is gone. The handler may
    /// have run all the same.
    ///
    /// # Panics
    ///
    /// If the server has no handler for [`Rpc::METHOD`], or the two sides disagree on its types:
    /// mistakes in the program, which no retry would mend.
    #[track_caller]
    pub fn call<R: Rpc>(&self, request: &R) -> Result<R::Reply, NoReply> {
        let Some(network) = self.network.upgrade() else {
            // The test has dropped its network, and whoever retries at once must not spin.
            labrt::time::sleep(Duration::from_millis(100));
            return Err(NoReply);
        };
        let (sender, receiver) = oneshot::channel();
        let content = network.watch.shows_contents().then(|| content::show(request));
        let request = Encoded { bytes: labgob::to_bytes(request), content };
        let connected = self.owner.is_alive();
        delivery::send(network, &self.route, R::METHOD, request, sender, connected);
        match receiver.wait() {
            Some(Answer::Reply(bytes)) => match labgob::from_bytes(&bytes) {
                Ok(reply) => Ok(reply),
                Err(error) => {
                    let expected = type_name::<R::Reply>();
                    self.refuse::<R>(&Refusal::Reply { expected, error })
                }
            },
            Some(Answer::NoReply) | None => Err(NoReply),
            Some(Answer::Refused(refusal)) => self.refuse::<R>(&refusal),
        }
    }

    #[cold]
    #[track_caller]
    fn refuse<R: Rpc>(&self, refusal: &Refusal) -> ! {
        let Route { from_name: caller, to_name: server, .. } = &*self.route;
        let (method, request) = (R::METHOD, type_name::<R>());
        panic!("{caller} called {method} of {server} with a {request}, but {refusal}");
    }
}

impl fmt::Debug for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientEnd({} -> {})", self.route.from_name, self.route.to_name)
    }
}
