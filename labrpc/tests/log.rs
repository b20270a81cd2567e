//! What is logged of messages.
//!
//! Alone in its file: `tracing` remembers for each line of code whether anybody wants it, and a
//! thread without a subscriber that comes there first at the same moment can answer for all.

mod common;

use std::{fmt::Write as _, sync::Arc};

use common::{Name, on_seeds, pair};
use parking_lot::Mutex;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

/// Keeps what is logged under the target `rpc`, one line each.
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        self.0.lock().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").expect("strings take everything");
    }
}

#[test]
fn the_log_names_everything() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    on_seeds(1, move || {
        let subscriber = tracing_subscriber::registry().with(Lines(sink.clone()));
        // Tasks and events share the thread, so this reaches all of them.
        tracing::subscriber::with_default(subscriber, || {
            pair().end.call(&Name(7)).expect("all is well");
        });
    });
    let call = r#"call=0 from="C0" to="S0" method="Junk.Name""#;
    let lines: Vec<_> =
        lines.lock().iter().filter(|line| line.starts_with("rpc")).cloned().collect();
    assert_eq!(
        lines,
        [
            format!("rpc message=request sent {call} bytes=1"),
            format!("rpc message=request delivered {call} bytes=1"),
            format!("rpc message=reply sent {call} bytes=9"),
            format!("rpc message=reply delivered {call} bytes=9"),
        ]
    );
}
