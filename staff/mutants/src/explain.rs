//! One wrong server explained: a test that fails it, as a student would run it, with shrinking and
//! the timeline.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grade::suite::TestBinary;
use labrecord::{Record, Verdict};
use serde::{Deserialize, Serialize};
use timeline::Run;

use crate::mutant::Mutant;
use crate::outcome::{Failed, Outcome};
use crate::runs::Plan;
use crate::sources::Sources;
use crate::trial::{Workshop, now};

/// How long a run may be shrunk, in seconds: what a student gets.
const SHRINK: &str = "10";

/// One test of it, shrinking and drawing included, may take so long.
const LIMIT: Duration = Duration::from_mins(3);

/// What a test that failed said, and its timeline.
pub(crate) struct Explained {
    pub(crate) record: Record,
    pub(crate) run: Run,
}

/// As it is kept, beside the page.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    record: Record,
}

/// Where explanations are kept: of servers with their view, or without it.
pub(crate) struct Archive(pub(crate) PathBuf);

impl Archive {
    /// The kept explanation: of these sources, or of any if `key` is `None`.
    pub(crate) fn read(&self, mutant: &Mutant, key: Option<&str>) -> Option<Explained> {
        let text = fs::read_to_string(self.place(mutant, "json")).ok()?;
        let kept: Kept = serde_json::from_str(&text).ok()?;
        if key.is_some_and(|key| key != kept.key) {
            return None;
        }
        let page = fs::read_to_string(self.place(mutant, "html")).ok()?;
        Some(Explained { record: kept.record, run: timeline::run_of_page(&page).ok()? })
    }

    fn write(
        &self,
        mutant: &Mutant,
        key: &str,
        record: &Record,
        page: &Path,
    ) -> Result<(), String> {
        let kept = Kept { key: key.to_owned(), record: record.clone() };
        let text = serde_json::to_string_pretty(&kept).map_err(|e| e.to_string())?;
        fs::create_dir_all(&self.0)
            .and_then(|()| fs::copy(page, self.place(mutant, "html")))
            .and_then(|_| fs::write(self.place(mutant, "json"), text))
            .map_err(|e| format!("{}: {e}", page.display()))
    }

    fn place(&self, mutant: &Mutant, ending: &str) -> PathBuf {
        self.0.join(format!("{}.{ending}", mutant.id()))
    }
}

impl Workshop {
    /// Builds the tests with this patch, and runs one that fails. `known` is what is known to fail.
    pub(crate) fn explain(
        &self,
        (mutant, key): (&Mutant, &str),
        sources: &Sources,
        known: Option<Outcome>,
        plan: Plan,
        archive: &Archive,
    ) -> Result<Explained, String> {
        sources.copy_patched(mutant, self.place())?;
        let tests = self.build(plan.profile)?;
        if let Some(Outcome::Failed { failed, .. }) = known {
            // Other sources may have had other seeds.
            for failed in failed.iter().take(3) {
                if let Some(found) =
                    self.try_explain((mutant, key), &tests, failed, (plan, archive))?
                {
                    return Ok(found);
                }
            }
        }
        let Outcome::Failed { failed, .. } = self.try_out(mutant, sources, plan) else {
            return Err("no test fails".to_owned());
        };
        self.try_explain((mutant, key), &tests, &failed[0], (plan, archive))?
            .ok_or_else(|| "what has just failed does not fail again".to_owned())
    }

    fn try_explain(
        &self,
        (mutant, key): (&Mutant, &str),
        tests: &TestBinary,
        failed: &Failed,
        (plan, archive): (Plan, &Archive),
    ) -> Result<Option<Explained>, String> {
        let mut command = tests.command();
        command
            .args([&failed.test, "--exact"])
            .env("LAB_SEED", &failed.seed)
            .env("LAB_SHRINK", SHRINK)
            .env("LAB_VIEW", if plan.view { "yes" } else { "no" });
        self.execute(command, now() + LIMIT)?;
        let text = fs::read_to_string(self.records()).unwrap_or_default();
        let Some(line) = text.lines().next() else { return Ok(None) };
        let record: Record =
            serde_json::from_str(line).map_err(|e| format!("a record is not understood: {e}"))?;
        let Some(page) = record.artefacts.get("timeline") else { return Ok(None) };
        if record.verdict == Verdict::Pass {
            return Ok(None);
        }
        archive.write(mutant, key, &record, &self.place().join(page))?;
        Ok(archive.read(mutant, Some(key)))
    }
}
