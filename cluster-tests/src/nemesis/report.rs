//! The result of a run, as text and as a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::RigError;
use crate::nemesis::check::{self, Violation};
use crate::nemesis::history::{Operation, Outcome};

/// The numbers of operations by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered as expected.
    pub ok: usize,
    /// Certainly without effect.
    pub fail: usize,
    /// With unknown effect.
    pub unknown: usize,
    /// With an answer that a correct cluster never gives.
    pub wrong: usize,
}

impl Tally {
    /// Counts the outcomes.
    pub fn of(operations: &[Operation]) -> Self {
        let mut tally = Self::default();
        for operation in operations {
            let counter = match operation.outcome {
                Outcome::Key(_) | Outcome::Absent | Outcome::Done => &mut tally.ok,
                Outcome::Failed => &mut tally.fail,
                Outcome::Unknown => &mut tally.unknown,
                Outcome::Wrong(_) => &mut tally.wrong,
            };
            *counter += 1;
        }
        tally
    }
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed of the run.
    pub seed: u64,
    /// How long clients worked.
    pub lasted: Duration,
    /// The numbers of operations by outcome.
    pub tally: Tally,
    /// Fresh contents whose key was acknowledged and read back from every node.
    pub acknowledged: usize,
    /// How often each fault was injected.
    pub faults: BTreeMap<&'static str, usize>,
    /// Every broken promise.
    pub violations: Vec<Violation>,
    /// The directory of the history and the nodes' logs.
    pub artifacts: PathBuf,
}

/// A longer list is of no use.
const SHOWN_MAX: usize = 5;

impl Report {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The checkers that found a violation.
    pub fn caught_by(&self) -> Vec<&'static str> {
        check::ALL.into_iter().filter(|checker| self.found(checker) > 0).collect()
    }

    /// The report as text tables.
    pub fn text(&self) -> String {
        let Tally { ok, fail, unknown, wrong } = self.tally;
        let mut text = format!(
            "seed {}, {:.0} s\n\nfault               injected\n",
            self.seed,
            self.lasted.as_secs_f64()
        );
        for (fault, count) in &self.faults {
            text.push_str(&format!("{fault:<18}  {count:>8}\n"));
        }
        text.push_str(&format!(
            "\noperations: {ok} ok, {fail} without effect, {unknown} unknown, {wrong} wrong; \
             {} fresh keys acknowledged\n\nchecker           violations\n",
            self.acknowledged
        ));
        for checker in check::ALL {
            text.push_str(&format!("{checker:<16}  {:>10}\n", self.found(checker)));
        }
        for checker in check::ALL {
            let found = self.violations.iter().filter(|violation| violation.checker == checker);
            for violation in found.take(SHOWN_MAX) {
                text.push_str(&format!("\n{checker}: {}\n", violation.text));
            }
        }
        text.push_str(&format!("\nhistory and logs: {}\n", self.artifacts.display()));
        text
    }

    /// Writes `report.txt` and `report.json` beside the history.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self) -> Result<(), RigError> {
        let Tally { ok, fail, unknown, wrong } = self.tally;
        let violations = self.violations.iter();
        let violations: Vec<_> =
            violations.map(|found| json!({ "checker": found.checker, "text": found.text })).collect();
        let figures = json!({
            "seed": self.seed,
            "lasted_s": self.lasted.as_secs_f64(),
            "operations": { "ok": ok, "fail": fail, "unknown": unknown, "wrong": wrong },
            "acknowledged": self.acknowledged,
            "faults": self.faults,
            "violations": violations,
        });
        for (name, text) in [("report.txt", self.text()), ("report.json", format!("{figures:#}\n"))] {
            let path = self.artifacts.join(name);
            std::fs::write(&path, text).map_err(RigError::at("write", &path))?;
        }
        Ok(())
    }

    fn found(&self, checker: &str) -> usize {
        self.violations.iter().filter(|violation| violation.checker == checker).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_seed_faults_and_each_violation() {
        let dir = tempfile::tempdir().unwrap();
        let report = Report {
            seed: 42,
            lasted: Duration::from_secs(60),
            tally: Tally { ok: 10, fail: 1, unknown: 2, wrong: 0 },
            acknowledged: 7,
            faults: BTreeMap::from([("kill_all", 3)]),
            violations: vec![Violation { checker: check::LOST, text: "film is gone".into() }],
            artifacts: dir.path().to_owned(),
        };
        let text = report.text();
        for words in ["seed 42", "kill_all                   3", "10 ok, 1 without", "film is gone"] {
            assert!(text.contains(words), "{words:?} is missing in {text}");
        }
        assert!(!report.is_clean() && report.caught_by() == [check::LOST]);
        report.keep().unwrap();
        assert!(dir.path().join("report.json").exists());
    }
}
