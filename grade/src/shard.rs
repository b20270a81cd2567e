//! Which part of a sweep this process does, when several machines share it.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

/// The `number`-th of `count` equal parts, counted from 1. Printed and read as `3/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// 1 to `count`.
    pub number: u64,
    /// How many parts there are.
    pub count: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { number: 1, count: 1 };

    /// Does the n-th run of each test, counted from 0, belong to this part?
    ///
    /// Runs are dealt out like cards: so each part has its share of every test, and a part that ends
    /// early leaves no range of seeds untried.
    #[must_use]
    pub fn has(self, n: u64) -> bool {
        n % self.count == self.number - 1
    }

    /// The part that the environment speaks of, and the variable that says so:
    ///
    /// | who sets it | variables |
    /// | --- | --- |
    /// | a Slurm job array | `SLURM_ARRAY_TASK_ID`, `_COUNT`, `_MIN`, `_STEP` |
    /// | a Kubernetes indexed Job | `JOB_COMPLETION_INDEX`, and `GRADE_SHARD_COUNT` in its manifest |
    /// | anyone, such as a GitHub Actions matrix | `GRADE_SHARD_INDEX`, from 0, and `GRADE_SHARD_COUNT` |
    ///
    /// # Errors
    ///
    /// If such a variable is there, and makes no sense or lacks the other.
    pub fn from_environment(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<(Shard, &'static str)>> {
        let number = |name: &str| -> Result<Option<u64>> {
            let Some(value) = lookup(name).filter(|value| !value.is_empty()) else {
                return Ok(None);
            };
            value.parse().map(Some).with_context(|| format!("{name}={value} is not a number"))
        };
        for name in ["GRADE_SHARD_INDEX", "JOB_COMPLETION_INDEX"] {
            if let Some(index) = number(name)? {
                let count = number("GRADE_SHARD_COUNT")?
                    .with_context(|| format!("{name} is set, but not GRADE_SHARD_COUNT"))?;
                return Ok(Some((Shard::new(index + 1, count)?, name)));
            }
        }
        let name = "SLURM_ARRAY_TASK_ID";
        let Some(id) = number(name)? else { return Ok(None) };
        let count = number("SLURM_ARRAY_TASK_COUNT")?
            .with_context(|| format!("{name} is set, but not SLURM_ARRAY_TASK_COUNT"))?;
        let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
        let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
        ensure!(id >= first, "{name}={id} is below SLURM_ARRAY_TASK_MIN={first}");
        Ok(Some((Shard::new((id - first) / step + 1, count)?, name)))
    }

    fn new(number: u64, count: u64) -> Result<Shard> {
        ensure!((1..=count).contains(&number), "there is no part {number} of {count}");
        Ok(Shard { number, count })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Shard> {
        let (number, count) = text.split_once('/').context("it is written 3/8")?;
        Shard::new(number.parse().context("it is written 3/8")?, count.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Option<(Shard, &'static str)>> {
        Shard::from_environment(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_run_is_in_one_part() {
        for n in 0..100 {
            let having = (1..=7).filter(|number| Shard::new(*number, 7).unwrap().has(n));
            assert_eq!(having.count(), 1, "run {n}");
        }
        assert!((0..100).all(|n| Shard::WHOLE.has(n)));
    }

    #[test]
    fn as_text() {
        assert_eq!("3/8".parse::<Shard>().unwrap().to_string(), "3/8");
        for text in ["", "3", "0/8", "9/8", "3/8/2", "a/b", "0/0", "-1/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_departments_run_says_which_part() {
        let third = |name| Some((Shard { number: 3, count: 8 }, name));
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "14"),
            ("SLURM_ARRAY_TASK_COUNT", "8"),
            ("SLURM_ARRAY_TASK_MIN", "10"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
        ];
        assert_eq!(environment(&slurm).unwrap(), third("SLURM_ARRAY_TASK_ID"));
        let kubernetes = [("JOB_COMPLETION_INDEX", "2"), ("GRADE_SHARD_COUNT", "8")];
        assert_eq!(environment(&kubernetes).unwrap(), third("JOB_COMPLETION_INDEX"));
        let actions = [("GRADE_SHARD_INDEX", "2"), ("GRADE_SHARD_COUNT", "8")];
        assert_eq!(environment(&actions).unwrap(), third("GRADE_SHARD_INDEX"));
        assert_eq!(environment(&[]).unwrap(), None);
    }

    #[test]
    fn half_an_answer_is_an_error() {
        for name in ["JOB_COMPLETION_INDEX", "GRADE_SHARD_INDEX", "SLURM_ARRAY_TASK_ID"] {
            let error = environment(&[(name, "2")]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is set, but not ")), "{error}");
            let error = environment(&[(name, "two")]).unwrap_err().to_string();
            assert_eq!(error, format!("{name}=two is not a number"));
        }
        let past = [("GRADE_SHARD_INDEX", "8"), ("GRADE_SHARD_COUNT", "8")];
        assert_eq!(environment(&past).unwrap_err().to_string(), "there is no part 9 of 8");
    }
}
