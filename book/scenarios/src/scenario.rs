//! What a scenario is, and what it may ask of the run that came of it.

use labtester::{Cluster, Lab};
use timeline::Run;
use timeline::model::{Call, Micros, Role, What};
use timeline::replay::{Replay, Server};

/// A run with a story, told in the language of the graded tests.
pub(crate) struct Scenario {
    /// Its figures are `NAME-<figure>.svg`, its page is `NAME.html`.
    pub(crate) name: &'static str,
    /// One on which what the story is about comes about; `scenarios seek NAME` finds another.
    pub(crate) seed: u64,
    /// Plays it once, on the seed and with the recorder that the environment asks for.
    pub(crate) play: fn(),
    /// The figures of a run; a sentence if what they are to show did not come about.
    pub(crate) draw: fn(&Run) -> Drawn,
}

/// What goes into a file, or why the run is not the one that was meant.
pub(crate) type Drawn = Result<Vec<Figure>, String>;

/// One figure.
pub(crate) struct Figure {
    /// The end of its name.
    pub(crate) name: &'static str,
    pub(crate) svg: String,
}

/// A story that is recorded: it has neither part nor points.
pub(crate) const fn lab(title: &'static str) -> Lab {
    labsystem::lab("book", title, 0)
}

/// Marks a moment of the story, which a figure shows. First everybody has a few milliseconds, so that
/// no message is under way.
pub(crate) fn moment(cluster: &Cluster, name: &str) {
    cluster.sleep(SETTLED);
    tracing::info!(target: MOMENT, "{name}");
}

/// Messages take half a millisecond at most.
pub(crate) const SETTLED: std::time::Duration = std::time::Duration::from_millis(5);
const MOMENT: &str = "moment";

/// An instant of a run: an event, and all before it. (Two events may be at one time.)
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant {
    event: usize,
    pub(crate) at: Micros,
}

/// When a moment of the story was.
pub(crate) fn when(run: &Run, name: &str) -> Result<Instant, String> {
    let is_it =
        |what: &What| matches!(what, What::Log { topic, text } if topic == MOMENT && text == name);
    let found = run.events.iter().position(|event| is_it(&event.what));
    let event = found.ok_or_else(|| format!("the story has no moment {name}"))?;
    Ok(Instant { event, at: run.events[event].at })
}

/// All servers as they were then.
pub(crate) fn servers(run: &Run, then: Instant) -> Vec<Server> {
    let mut replay = Replay::new(run.servers);
    run.events[..=then.event].iter().for_each(|event| replay.step(event));
    replay.servers
}

/// A server that took a role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) then: Instant,
    pub(crate) server: usize,
    pub(crate) term: u64,
}

/// Who took this role, and in which term, in order.
pub(crate) fn all_who_took(run: &Run, role: Role) -> Vec<Taken> {
    let mut replay = Replay::new(run.servers);
    let mut taken = Vec::new();
    for (place, event) in run.events.iter().enumerate() {
        replay.step(event);
        let (Some(server), What::State(change)) = (event.server, &event.what) else { continue };
        let state = &replay.servers[server].memory;
        if state.role == role && (change.role.is_some() || change.term.is_some()) {
            let then = Instant { event: place, at: event.at };
            taken.push(Taken { then, server, term: state.term });
        }
    }
    taken
}

/// The links among servers, from one to the other, as they were then.
pub(crate) fn is_linked(run: &Run, then: Instant, one: usize, other: usize) -> bool {
    let mut before = run.events[..=then.event].iter().rev();
    before
        .find_map(|event| match event.what {
            What::Link { to, up } if (event.server, to) == (Some(one), other) => Some(up),
            _ => None,
        })
        .unwrap_or(true)
}

/// The calls of a method between two instants.
pub(crate) fn calls<'a>(
    run: &'a Run,
    method: &'a str,
    from: Micros,
    to: Micros,
) -> impl Iterator<Item = &'a Call> {
    let is_it = move |call: &&Call| {
        run.methods[call.method].ends_with(method) && (from..to).contains(&call.request.sent)
    };
    run.calls.iter().filter(is_it)
}

/// What must hold for the figure to show what the text says.
pub(crate) fn must(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("it did not come about: {what}")) }
}

/// The terms of a log, from index 1 on.
pub(crate) fn log(server: &Server) -> &[u64] {
    &server.memory.log
}
