//! Lines that lab code and the tester log, while a run is recorded.

use std::sync::Arc;

use labrt::node::Node;
use labrt::sim;
use timeline::model::What;
use tracing::{Event, Metadata};

use super::{Tape, task_name};
use crate::lines::{Line, Listener};
use crate::log::{CLIENT, FAULT, START, TEST};
use crate::nemesis::server;

/// Takes the lines of one run; to be made the default of the thread that runs it.
pub(super) struct Scribe(pub(super) Arc<Tape>);

impl Listener for Scribe {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() != "rpc" // messages are recorded as such
    }

    fn hear(&self, event: &Event<'_>) {
        if !sim::active() {
            return; // somebody looks into a server, which is not what the server did
        }
        let metadata = event.metadata();
        let topic = metadata.target();
        let testers = metadata.module_path().is_some_and(|path| path.starts_with("labtester"));
        let text = Line::of(event).text();
        let (server, what) = match topic {
            TEST if testers => (None, What::Test(text)),
            FAULT if testers => (None, What::Fault(text)),
            // Recorded as what they are.
            START | CLIENT | "apply" if testers => return,
            _ => {
                let node = Node::current().name();
                (server(&node), What::Log { topic: topic.to_owned(), text })
            }
        };
        self.0.add_of_task(server, task_name(), what);
    }
}
