//! Is what clients saw linearizable? If not, says why, and draws it.

use labrt::sim;
use linearize::models::Kv;
use linearize::{Budget, Picture, Verdict};
use raftapi::harness::Disk as _;

use super::{KvCluster, pieces};
use crate::report::{self, Attachment, Failure};
use crate::text::at;

/// An answer may contradict hundreds of operations taken together: then none of them tells anything.
const LISTED: usize = 8;

/// When nothing is known but that there is no order.
const LOOK_AT: &str = "how a retry is told from a new operation, also by the next leader and after a restart; \
                       whom a request's answer belongs to; what a get waits for";

impl KvCluster {
    /// The history so far is linearizable: each operation seems to take effect at one instant
    /// between its call and its return.
    pub fn expect_linearizable(&self) {
        self.expect_linearizable_within(Budget::default());
    }

    /// Has a server started again, or taken a snapshot?
    fn has_restored(&self) -> bool {
        self.restarts() > 0 || self.servers().any(|server| self.persister(server).snapshots() > 0)
    }

    /// The same with a budget of steps for the check. If that is not enough, the test fails.
    pub fn expect_linearizable_within(&self, budget: Budget) {
        let history = self.shared.history.history();
        let verdict = Kv::check(&history, budget);
        let failure = match &verdict {
            Verdict::Linearizable(_) => return,
            Verdict::NotLinearizable(violation) => {
                let mut explanation = violation.explain(&Kv, &history);
                if explanation.because.len() > LISTED {
                    explanation.because.clear();
                    explanation.reason =
                        "No order of all operations on that key explains it.".into();
                }
                let (happened, look_at) = match pieces::find(&history, self.has_restored()) {
                    Some(found) => (format!("{}\n  {explanation}", found.says), found.look_at),
                    None => (explanation.to_string(), LOOK_AT),
                };
                Failure::safety("what clients saw is not linearizable")
                    .expected(
                        "each operation seems to take effect once, at an instant between its call and its \
                         return (Raft 8; Herlihy and Wing 1990)",
                    )
                    .happened(happened)
                    .look_at(look_at)
            }
            // Not a pass: nobody knows whether it is one.
            Verdict::Unknown(undecided) => Failure::new(
                report::Verdict::Tester,
                "the history could not be checked",
            )
            .expected("the check says yes or no within its budget")
            .happened(format!(
                "{} operations, {} steps, out of {}, {}",
                history.len(),
                undecided.steps,
                undecided.used_up,
                at(sim::elapsed())
            ))
            .look_at(
                "how many operations on one key are under way at once; the history is attached",
            ),
        };
        let mut picture = Picture::new(failure.title.clone());
        for (when, text) in &*self.shared.events.lock() {
            picture = picture.note(*when, text);
        }
        failure
            .always()
            .attach(Attachment {
                what: "picture",
                ending: "history.html",
                text: picture.page(&Kv, &history, &verdict),
            })
            .attach(Attachment {
                what: "history",
                ending: "txt",
                text: linearize::format::write(&Kv, &history),
            })
            .raise()
    }
}
