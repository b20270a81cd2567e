//! Lines that lab code and the tester log, while a run is recorded.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use labrt::node::Node;
use labrt::sim;
use timeline::model::What;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Metadata, Subscriber};

use super::{Tape, task_name};
use crate::log::{CLIENT, FAULT, START, TEST};
use crate::nemesis::server;

/// Takes the lines of one run; to be made the default of the thread that runs it.
pub(super) struct Lines(pub(super) Arc<Tape>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Messages are recorded as such.
        !metadata.is_span() && metadata.target() != "rpc"
    }

    fn event(&self, event: &Event<'_>) {
        if !sim::active() {
            return; // somebody looks into a server, which is not what the server did
        }
        let metadata = event.metadata();
        let topic = metadata.target();
        let testers = metadata.module_path().is_some_and(|path| path.starts_with("labtester"));
        let mut line = Line::default();
        event.record(&mut line);
        let text = line.0;
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

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The message, then the fields.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
