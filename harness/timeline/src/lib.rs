//! A recorded run of a cluster, as one page for the browser: what went wrong, when, and why.
//!
//! ```text
//!   recorder ──▶ Run ──┬─▶ Story (what broke, which step was wrong first, what led to it)
//!   (labtester)        ├─▶ page: one HTML file, opens from disk
//!                      ├─▶ JSON of the same data
//!                      └─▶ a log for ShiViz
//! ```
//!
//! - [`model`] is the data: events, calls, checks, operations.
//! - [`replay`] gives each server's state at each event.
//! - [`add_derived_states`] tells roles and terms from messages where servers show nothing.
//! - [`rules`] finds steps that no right Raft takes.
//! - [`words`] reads what messages say.
//! - [`Diagnosis`] says what kept a run from making progress.
//! - [`why`] walks back from the verdict along messages and local steps.
//! - [`page`](page()), [`shiviz`](shiviz()), [`compare`](page_beside()) draw.
//!
//! Not here: how a run is recorded, and anything of a tester.

mod derive;
mod diagnosis;
pub mod model;
mod page;
pub mod replay;
pub mod rules;
mod shiviz;
pub mod why;
pub mod words;

pub use derive::add_derived_states;
pub use diagnosis::Diagnosis;
pub use model::Run;
pub use page::{page, page_beside, run_of_page};
pub use shiviz::shiviz;
