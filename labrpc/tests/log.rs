//! What is logged of messages.
//!
//! Alone in its file, because what it installs is for the whole process: on the real engine each
//! task is a thread of its own.

mod common;

use std::{fmt::Write as _, sync::Arc};

use common::{Name, on_both_engines, pair};
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
    let subscriber = tracing_subscriber::registry().with(Lines(lines.clone()));
    tracing::subscriber::set_global_default(subscriber).expect("nobody else did");
    on_both_engines(1, move || {
        lines.lock().clear();
        pair().end.call(&Name(7)).expect("all is well");
        let call = r#"call=0 from="C0" to="S0" method="Junk.Name""#;
        let mut lines = lines.lock().clone();
        lines.retain(|line| line.starts_with("rpc"));
        assert_eq!(
            lines,
            [
                format!("rpc message=request sent {call} bytes=1"),
                format!("rpc message=request delivered {call} bytes=1"),
                format!("rpc message=reply sent {call} bytes=9"),
                format!("rpc message=reply delivered {call} bytes=9"),
            ]
        );
    });
}
