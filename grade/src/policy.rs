//! What passing is worth: `grade.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use labrecord::About;
use serde::{Deserialize, Serialize};

use crate::confine::Bounds;
use crate::scan::{Finding, Kind};
use crate::suite;

/// How submissions are graded. Whatever is left out has the value of [`Policy::default`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Seeds of each test.
    pub seeds: u64,
    /// From the share of seeds that pass to the share of the points.
    pub curve: Curve,
    /// By part, such as `3A`.
    pub parts: BTreeMap<String, PartPolicy>,
    /// By test, such as `"raft_3A::re_election"`.
    pub tests: BTreeMap<String, TestPolicy>,
    /// What a test process may use.
    pub limits: Limits,
    /// What becomes of what the scan finds.
    pub scan: BTreeMap<Kind, Action>,
    /// Gradescope only: show a leaderboard of requests and bytes, to who passes everything.
    pub leaderboard: bool,
}

/// What is different for a part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartPolicy {
    /// Points of the part. A test that is given points of its own has these; the others share the rest
    /// as they would share the points written beside them; evenly, if those are all 0.
    pub points: Option<f64>,
    /// Seeds of each of its tests.
    pub seeds: Option<u64>,
    /// Its curve.
    pub curve: Option<Curve>,
    /// Students do not see how its tests went. If nothing is said: those of modules such as
    /// `raft_3A_hidden`, and no others.
    pub hidden: Option<bool>,
}

/// What is different for a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestPolicy {
    /// Its points.
    pub points: Option<f64>,
    /// Its seeds.
    pub seeds: Option<u64>,
    /// Its curve.
    pub curve: Option<Curve>,
    /// Students do not see how it went.
    pub hidden: Option<bool>,
}

/// From the share of seeds that passed to the share of the points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Curve {
    /// Every seed must pass.
    All,
    /// All points from this share on, none below.
    Threshold(f64),
    /// None up to `from`, all at 1, and `((share - from) / (1 - from)) ^ power` between.
    Slope {
        /// 0 to 1.
        #[serde(default)]
        from: f64,
        /// 1 is a straight line; more asks more of the last seeds.
        #[serde(default = "one")]
        power: f64,
    },
}

/// What one test process, or one build, may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Seconds of wall time for each seed; the seeds of a test share their sum.
    pub wall_seconds: u64,
    /// Seconds of CPU for each seed; likewise.
    pub cpu_seconds: u64,
    /// MiB of address space.
    pub memory_mib: u64,
    /// Threads and processes.
    pub processes: u64,
    /// MiB printed.
    pub print_mib: u64,
    /// Seconds of CPU for each process of a build.
    pub build_cpu_seconds: u64,
    /// MiB of address space for each process of a build.
    pub build_memory_mib: u64,
}

/// What becomes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The submission is not built, and has no points.
    Reject,
    /// It is listed for staff.
    Flag,
    /// Nothing.
    Allow,
}

/// What the policy says of one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The test.
    pub about: About,
    /// What it is worth.
    pub points: f64,
    /// How many seeds.
    pub seeds: u64,
    /// Its curve.
    pub curve: Curve,
    /// Students do not see how it went.
    pub hidden: bool,
}

fn one() -> f64 {
    1.0
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            seeds: 20,
            curve: Curve::All,
            parts: BTreeMap::new(),
            tests: BTreeMap::new(),
            limits: Limits::default(),
            scan: BTreeMap::new(),
            leaderboard: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            wall_seconds: 10,
            cpu_seconds: 10,
            memory_mib: 1024,
            processes: 64,
            print_mib: 16,
            build_cpu_seconds: 300,
            build_memory_mib: 4096,
        }
    }
}

impl Limits {
    /// For a test process with so many seeds.
    #[must_use]
    pub fn bounds(&self, seeds: u64) -> Bounds {
        let Limits { cpu_seconds, memory_mib, processes, .. } = *self;
        let cpu_seconds = cpu_seconds.saturating_mul(seeds);
        Bounds { cpu_seconds, memory_mib, file_mib: 0, processes }
    }

    /// For each process of a build.
    #[must_use]
    pub fn build_bounds(&self) -> Bounds {
        let Limits { build_cpu_seconds, build_memory_mib, .. } = *self;
        Bounds {
            cpu_seconds: build_cpu_seconds,
            memory_mib: build_memory_mib,
            file_mib: 1024,
            processes: 4096,
        }
    }

    /// Wall time for so many seeds of a test.
    #[must_use]
    pub fn wall(&self, seeds: u64) -> Duration {
        Duration::from_secs(self.wall_seconds.saturating_mul(seeds))
    }
}

impl Curve {
    /// The share of the points, for so many of so many seeds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "numbers of seeds are small")]
    pub fn share(self, passed: u64, seeds: u64) -> f64 {
        let share = if seeds == 0 { 0.0 } else { passed as f64 / seeds as f64 };
        match self {
            Curve::All => f64::from(u8::from(seeds > 0 && passed == seeds)),
            Curve::Threshold(least) => f64::from(u8::from(share >= least)),
            Curve::Slope { from, power } => {
                ((share - from) / (1.0 - from)).clamp(0.0, 1.0).powf(power)
            }
        }
    }

    fn check(self) -> Result<()> {
        match self {
            Curve::All => {}
            Curve::Threshold(least) => {
                ensure!(least > 0.0 && least <= 1.0, "a threshold is above 0, and 1 at most");
            }
            Curve::Slope { from, power } => {
                ensure!((0.0..1.0).contains(&from), "a slope is from 0 or more, and below 1");
                ensure!(power > 0.0 && power.is_finite(), "a slope's power is above 0");
            }
        }
        Ok(())
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or says something that is not understood.
    pub fn read(file: &Path) -> Result<Policy> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Policy::parse(&text).with_context(|| file.display().to_string())
    }

    /// Reads a policy from its text.
    ///
    /// # Errors
    ///
    /// If it says something that is not understood.
    pub fn parse(text: &str) -> Result<Policy> {
        let policy: Policy = toml::from_str(text)?;
        let curves = policy.parts.values().map(|part| part.curve);
        let curves = curves.chain(policy.tests.values().map(|test| test.curve)).flatten();
        curves.chain([policy.curve]).try_for_each(Curve::check)?;
        let points = policy.parts.values().map(|part| part.points);
        let mut points = points.chain(policy.tests.values().map(|test| test.points)).flatten();
        ensure!(points.all(|points| points >= 0.0 && points.is_finite()), "points are 0 or more");
        let seeds = policy.parts.values().map(|part| part.seeds);
        let seeds = seeds.chain(policy.tests.values().map(|test| test.seeds)).flatten();
        ensure!(seeds.chain([policy.seeds]).all(|seeds| seeds > 0), "seeds are 1 or more");
        Ok(policy)
    }

    /// What it says of each test.
    ///
    /// # Errors
    ///
    /// If it speaks of a part or a test that is not there.
    pub fn terms(&self, suite: &[About]) -> Result<Vec<Terms>> {
        for part in self.parts.keys() {
            let there = suite.iter().any(|about| about.part == *part);
            ensure!(there, "the policy speaks of a part {part} that is not there");
        }
        for test in self.tests.keys() {
            let there = suite.iter().any(|about| about.test == *test);
            ensure!(there, "the policy speaks of a test {test} that is not there");
        }
        for (part, policy) in &self.parts {
            let Some(points) = policy.points else { continue };
            let mut rest = points;
            let mut sharing = 0;
            for about in suite.iter().filter(|about| about.part == *part) {
                match self.own_points(about) {
                    Some(own) => rest -= own,
                    None => sharing += 1,
                }
            }
            ensure!(
                rest > -1e-9 && (sharing > 0 || rest < 1e-9),
                "the policy gives the tests of part {part} other points than the part"
            );
        }
        Ok(suite.iter().map(|about| self.terms_of(about, suite)).collect())
    }

    /// The points that the policy gives this very test.
    fn own_points(&self, about: &About) -> Option<f64> {
        self.tests.get(&about.test).and_then(|test| test.points)
    }

    fn terms_of(&self, about: &About, suite: &[About]) -> Terms {
        let (default_part, default_test) = (PartPolicy::default(), TestPolicy::default());
        let part = self.parts.get(&about.part).unwrap_or(&default_part);
        let test = self.tests.get(&about.test).unwrap_or(&default_test);
        let written = f64::from(about.points);
        let of_part = || suite.iter().filter(|other| other.part == about.part);
        let sharing = || of_part().filter(|other| self.own_points(other).is_none());
        let points = match (self.own_points(about), part.points) {
            (Some(own), _) => own,
            (None, None) => written,
            (None, Some(points)) => {
                let given: f64 = of_part().filter_map(|other| self.own_points(other)).sum();
                let all: f64 = sharing().map(|other| f64::from(other.points)).sum();
                // Campaigns: nothing is written beside them.
                #[expect(clippy::cast_precision_loss, reason = "few tests")]
                let evenly = 1.0 / sharing().count() as f64;
                (points - given).max(0.0) * if all > 0.0 { written / all } else { evenly }
            }
        };
        Terms {
            about: about.clone(),
            points,
            seeds: test.seeds.or(part.seeds).unwrap_or(self.seeds),
            curve: test.curve.or(part.curve).unwrap_or(self.curve),
            hidden: test.hidden.or(part.hidden).unwrap_or_else(|| suite::is_hidden(&about.test)),
        }
    }

    /// What becomes of a finding: it is rejected, if nothing else is said.
    #[must_use]
    pub fn action(&self, finding: &Finding) -> Action {
        self.scan.get(&finding.kind).copied().unwrap_or(Action::Reject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite() -> Vec<About> {
        let torture = [("torture::d", "torture", 0), ("torture::e", "torture", 0)];
        [("raft_3A::a", "3A", 5), ("raft_3A::b", "3A", 10), ("raft_3B::c", "3B", 20)]
            .into_iter()
            .chain(torture)
            .map(|(test, part, points)| About {
                test: test.to_owned(),
                lab: "raft".to_owned(),
                part: part.to_owned(),
                title: "a title".to_owned(),
                points,
            })
            .collect()
    }

    #[track_caller]
    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn curves() {
        near(Curve::All.share(20, 20), 1.0);
        near(Curve::All.share(19, 20), 0.0);
        near(Curve::Threshold(0.9).share(18, 20), 1.0);
        near(Curve::Threshold(0.9).share(17, 20), 0.0);
        // Two of a real course, of 400 runs: half a percent for each above 200, and a bonus.
        let half = Curve::Slope { from: 0.5, power: 1.0 };
        near(half.share(300, 400), 0.5);
        near(half.share(100, 400), 0.0);
        let bonus = Curve::Slope { from: 0.95, power: 2.0 };
        near(bonus.share(390, 400), 0.25);
        near(bonus.share(400, 400), 1.0);
        for curve in [Curve::All, Curve::Threshold(0.5), half, bonus] {
            near(curve.share(0, 0), 0.0);
        }
    }

    #[test]
    fn the_closest_word_counts() {
        let policy = Policy::parse(
            "seeds = 7
             curve = { threshold = 0.9 }
             [parts.3A]
             points = 30
             hidden = true
             [tests.'raft_3A::b']
             seeds = 9
             hidden = false
             curve = { slope = { from = 0.5 } }
             [scan]
             static = 'flag'",
        )
        .unwrap();
        let terms = policy.terms(&suite()).unwrap();
        near(terms[0].points, 10.0);
        near(terms[1].points, 20.0);
        near(terms[2].points, 20.0);
        let seeds: Vec<u64> = terms.iter().map(|terms| terms.seeds).collect();
        assert_eq!(seeds, [7, 9, 7, 7, 7]);
        let hidden: Vec<bool> = terms.iter().map(|terms| terms.hidden).collect();
        assert_eq!(hidden, [true, false, false, false, false]);
        assert_eq!(terms[1].curve, Curve::Slope { from: 0.5, power: 1.0 });
        let finding = |kind| Finding { file: String::new(), line: 1, kind, what: String::new() };
        assert_eq!(policy.action(&finding(Kind::Static)), Action::Flag);
        assert_eq!(policy.action(&finding(Kind::Foreign)), Action::Reject);
    }

    #[test]
    fn campaigns_have_the_points_that_the_policy_gives_them() {
        let points = |policy: &str| -> Vec<f64> {
            let terms = Policy::parse(policy).unwrap().terms(&suite()).unwrap();
            terms[3..].iter().map(|terms| terms.points).collect()
        };
        assert_eq!(points(""), [0.0, 0.0]);
        assert_eq!(points("[parts.torture]\npoints = 10"), [5.0, 5.0]);
        assert_eq!(points("[tests.'torture::e']\npoints = 10"), [0.0, 10.0]);
    }

    #[test]
    fn a_tests_own_points_are_its_points() {
        let terms = |policy: &str| Policy::parse(policy).unwrap().terms(&suite());
        let points = "[parts.3A]\npoints = 40\n[tests.'raft_3A::a']\npoints = 10";
        let terms_of = terms(points).unwrap();
        near(terms_of[0].points, 10.0);
        near(terms_of[1].points, 30.0);
        for too in [
            "[parts.3A]\npoints = 5\n[tests.'raft_3A::a']\npoints = 10",
            "[parts.3B]\npoints = 5\n[tests.'raft_3B::c']\npoints = 3",
        ] {
            let error = terms(too).unwrap_err().to_string();
            assert!(error.contains("other points than the part"), "{error}");
        }
    }

    /// A test with many seeds has as much time for each.
    #[test]
    fn limits_are_for_each_seed() {
        let limits = Limits::default();
        assert_eq!(limits.wall(400), limits.wall(20) * 20);
        assert_eq!(limits.bounds(400).cpu_seconds, limits.bounds(20).cpu_seconds * 20);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "seed = 3",
            "seeds = 0",
            "curve = 'linear'",
            "curve = { threshold = 1.5 }",
            "curve = { slope = { from = 1.0 } }",
            "[parts.3A]\npoint = 3",
            "[parts.3A]\npoints = -3",
            "[scan]\nstatics = 'flag'",
            "[limits]\nmemory = 3",
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
        let error = Policy::parse("[parts.9Z]").unwrap().terms(&suite()).unwrap_err();
        assert_eq!(error.to_string(), "the policy speaks of a part 9Z that is not there");
    }

    /// The file at the root of the workspace says what is the default.
    #[test]
    fn the_workspaces_own_policy() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grade.toml");
        let policy = Policy::read(&file).unwrap();
        let scan = policy.scan.values().all(|action| *action == Action::Reject);
        assert!(scan && policy.scan.len() == 6, "{:?}", policy.scan);
        assert_eq!(Policy { scan: BTreeMap::new(), ..policy }, Policy::default());
    }
}
