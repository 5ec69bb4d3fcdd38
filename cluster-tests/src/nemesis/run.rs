//! One run: a site, clients, faults, and then the checkers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ledger::Ledger;
use crate::nemesis::check::{self, Violation};
use crate::nemesis::client::Client;
use crate::nemesis::history::History;
use crate::nemesis::report::{Report, Tally};
use crate::nemesis::schedule::Step;
use crate::nemesis::site::{Blueprint, Site};
use crate::nemesis::workload::{Load, REGISTER, Workload};
use crate::wait::{not_interrupted, pause, wait_until};
use crate::{RigError, binary};

/// The time limit for every node to serve again after the last fault was healed.
pub const SERVES_WITHIN: Duration = Duration::from_secs(40);
/// The time limit for nodes to reach the same index when nothing is written.
const LEVEL_WITHIN: Duration = Duration::from_secs(60);
/// The client number of the reads at the end.
const LAST_READER: usize = 1000;

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The attacked cluster.
    pub blueprint: Blueprint,
    /// The seed of all random draws.
    pub seed: u64,
    pub load: Load,
    /// The name of the run's directory under `target/artifacts/nemesis`.
    pub name: String,
}

/// A run in progress.
pub struct Run {
    pub site: Site,
    history: Arc<History>,
    workload: Option<Workload>,
    faults: BTreeMap<&'static str, usize>,
    violations: Vec<Violation>,
    settings: Settings,
    artifacts: PathBuf,
    began: Instant,
}

impl Run {
    /// Makes the site and starts the clients.
    ///
    /// # Errors
    /// When the machine refuses or the cluster does not start.
    pub fn begin(settings: Settings) -> Result<Self, RigError> {
        let artifacts = binary::target_dir().join("artifacts/nemesis").join(&settings.name);
        std::fs::create_dir_all(&artifacts).map_err(RigError::at("make", &artifacts))?;
        let site = Site::make(&settings.blueprint)?;
        let history = Arc::new(History::begin(&artifacts)?);
        let workload = Workload::begin(settings.load, settings.seed, site.access(), &history);
        Ok(Self {
            site,
            history,
            workload: Some(workload),
            faults: BTreeMap::new(),
            violations: Vec::new(),
            settings,
            artifacts,
            began: Instant::now(),
        })
    }

    /// Runs steps until `length` is over or a violation ends the run.
    ///
    /// # Errors
    /// When the rig itself fails, or is interrupted.
    pub fn attack(&mut self, steps: impl Iterator<Item = Step>, length: Duration) -> Result<(), RigError> {
        let until = Instant::now() + length;
        for step in steps {
            if Instant::now() >= until || !self.strike(step)? {
                break;
            }
        }
        Ok(())
    }

    /// Runs one step; returns whether the cluster came back.
    ///
    /// # Errors
    /// When the rig itself fails, or is interrupted.
    pub fn strike(&mut self, mut step: Step) -> Result<bool, RigError> {
        for (name, fault) in &mut step.faults {
            fault.inject(&mut self.site)?;
            self.note("inject", name, &fault.detail());
            *self.faults.entry(name).or_default() += 1;
        }
        pause(step.hold)?;
        for (name, fault) in step.faults.iter_mut().rev() {
            fault.heal(&mut self.site)?;
            self.note("heal", name, &fault.detail());
        }
        let back = self.must_come_back()?;
        pause(step.calm)?;
        Ok(back)
    }

    /// Records an event of a directed schedule, and counts it as a fault when it begins one.
    pub fn record(&mut self, event: &'static str, fault: &'static str, detail: &str) {
        if event == "inject" {
            *self.faults.entry(fault).or_default() += 1;
        }
        self.note(event, fault, detail);
    }

    /// Requires that every node runs again, votes and serves; otherwise it is a violation.
    ///
    /// # Errors
    /// When it is interrupted.
    pub fn must_come_back(&mut self) -> Result<bool, RigError> {
        let name = format!("live-{}", self.history.now().as_millis());
        let up = self.site.bring_up_all();
        for end in self.site.unexcused_ends() {
            self.broken(check::ENDS, end);
        }
        let back =
            up.and_then(|()| self.site.settle()).and_then(|()| self.site.await_creates(&name, SERVES_WITHIN));
        not_interrupted()?;
        if let Err(error) = &back {
            self.broken(check::LIVENESS, error.to_string());
        } else {
            self.note("serves", "none", "every node");
        }
        Ok(back.is_ok())
    }

    /// Stops the clients, reads everything back from every node, and runs the checkers.
    ///
    /// # Errors
    /// When the rig itself fails, or is interrupted.
    pub fn finish(mut self) -> Result<Report, RigError> {
        let ledger = self.workload.take().map(Workload::end).unwrap_or_default();
        let lasted = self.began.elapsed();
        if self.must_come_back()? {
            self.read_registers();
            self.audit(&ledger)?;
            self.compare_digests()?;
        }
        for end in self.site.unexcused_ends() {
            self.broken(check::ENDS, end);
        }
        let operations = self.history.operations();
        self.violations.extend(check::linear::check(&operations, REGISTER));
        self.violations.extend(check::uniqueness::check(&operations));
        self.violations.extend(check::answers::check(&operations));
        self.site.keep_logs(&self.artifacts)?;
        let report = Report {
            seed: self.settings.seed,
            lasted,
            tally: Tally::of(&operations),
            acknowledged: ledger.len(),
            faults: std::mem::take(&mut self.faults),
            violations: std::mem::take(&mut self.violations),
            artifacts: self.artifacts.clone(),
        };
        report.keep()?;
        Ok(report)
    }

    fn note(&self, event: &str, fault: &str, detail: &str) {
        self.history.note(event, fault, detail);
        let (at, detail) = (self.history.now().as_secs_f64(), detail.lines().next().unwrap_or_default());
        eprintln!("{at:8.1} s  {event:<7} {fault:<18} {detail}");
    }

    fn broken(&mut self, checker: &'static str, text: String) {
        self.note("broken", checker, &text);
        self.violations.push(Violation { checker, text });
    }

    /// Reads each register from each node, as part of its history.
    fn read_registers(&self) {
        let mut names: Vec<String> = self.history.operations().into_iter().map(|op| op.content).collect();
        names.retain(|name| name.starts_with(REGISTER));
        names.sort_unstable();
        names.dedup();
        let access = self.site.access();
        std::thread::scope(|scope| {
            for node in 0..access.nodes.len() {
                let mut client = Client::new(LAST_READER + node, access.clone(), Arc::clone(&self.history));
                let names = &names;
                scope.spawn(move || names.iter().for_each(|name| drop(client.read(node, name))));
            }
        });
    }

    fn audit(&mut self, ledger: &Ledger) -> Result<(), RigError> {
        let access = self.site.access();
        let audited = wait_until("all nodes to be asked for all keys", SERVES_WITHIN, || {
            ledger.audit(&access.scrambler, &access.nodes)
        });
        not_interrupted()?;
        let findings = audited.unwrap_or_else(|error| vec![error.to_string()]);
        findings.into_iter().for_each(|text| self.broken(check::LOST, text));
        Ok(())
    }

    fn compare_digests(&mut self) -> Result<(), RigError> {
        let level = wait_until("all nodes to reach the same index", LEVEL_WITHIN, || {
            let nodes = self.site.digests()?;
            let level = check::digests::are_level(&nodes);
            if level { Ok(nodes) } else { Err(RigError::Answer(format!("{nodes:?}"))) }
        });
        not_interrupted()?;
        match level {
            Ok(nodes) => self.violations.extend(check::digests::check(&nodes)),
            Err(error) => self.broken(check::DIGESTS, error.to_string()),
        }
        Ok(())
    }
}
