//! Creates and reads of clusters of other sizes, grown as an operator does it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::figures::Row;
use super::known;
use super::machine;
use super::names::{Name, System};
use super::rounds::{Rounds, Watched};
use super::traffic::Ring;
use super::workloads::{Workload, creates};
use crate::{Grown, RigError, metrics};

const KNOWN_CONTENTS: usize = 1000;
const FIRST: &str = "a";
const ZONE: &str = "here";

/// The numbers of voters and of learners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The voters, at least one.
    pub voters: usize,
    /// The learners in addition.
    pub learners: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.learners {
            0 => write!(f, "{}", self.voters),
            learners => write!(f, "{}+{learners}", self.voters),
        }
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (voters, learners) = text.split_once('+').unwrap_or((text, "0"));
        match (voters.parse(), learners.parse()) {
            (Ok(voters @ 1..=9), Ok(learners @ 0..=9)) => Ok(Self { voters, learners }),
            _ => Err("it is voters, or VOTERS+LEARNERS: 1 to 9 and 0 to 9".to_owned()),
        }
    }
}

/// The nodes of one cluster.
struct Sized {
    cluster: Grown,
    names: Vec<String>,
}

impl Sized {
    fn grow(count: Count) -> Result<Self, RigError> {
        let mut cluster = Grown::begin(ZONE)?;
        let mut names = vec![FIRST.to_owned()];
        for number in 2..=count.voters + count.learners {
            let name = format!("n{number}");
            let more: &[&str] = if number > count.voters { &["--learner"] } else { &[] };
            cluster.join(&name, FIRST, ZONE, more)?;
            if number <= count.voters {
                cluster.await_voters(FIRST, number)?;
            }
            names.push(name);
        }
        Ok(Self { cluster, names })
    }

    fn workloads(&self) -> Result<[Workload; 2], RigError> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let (signer, nodes) = (self.cluster.signer(), self.cluster.apis(&names));
        let contents = known::contents(&signer, &nodes, KNOWN_CONTENTS)?;
        let reads = Arc::new(Ring(known::reads(&signer, &contents)));
        Ok([
            Workload::http(Name::Create, nodes.clone(), creates(&signer, Name::Create)),
            Workload::http(Name::Read, nodes, reads),
        ])
    }
}

impl Watched for Sized {
    fn pids(&self, _: System) -> Result<Vec<u32>, RigError> {
        let pid =
            |name: &String| self.cluster.pid(name).ok_or_else(|| RigError::Program("no node".to_owned()));
        self.names.iter().map(pid).collect()
    }

    fn fsyncs(&self, _: System) -> Result<f64, RigError> {
        let of = |name: &String| metrics::sample(self.cluster.node(name).api, metrics::LOG_FSYNCS);
        self.names.iter().map(of).sum()
    }

    fn fsync_ms(&self) -> Result<f64, RigError> {
        machine::fsync_ms(&self.cluster.path(""))
    }
}

/// Measures a cluster of this size; `seconds` are the warm-up and the measured time.
///
/// # Errors
/// When a node does not join or does not answer.
pub fn measure(
    count: Count,
    clients: usize,
    rounds: usize,
    [warm_up, measured]: [Duration; 2],
) -> Result<Vec<Row>, RigError> {
    let sized = Sized::grow(count)?;
    let workloads = sized.workloads()?;
    let mut rounds = Rounds { watched: &sized, count: rounds, warm_up, measured, fsyncs_ms: Vec::new() };
    rounds.measure(clients, &workloads.each_ref(), |_| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_voters_and_perhaps_learners() {
        assert_eq!("5".parse(), Ok(Count { voters: 5, learners: 0 }));
        assert_eq!("3+2".parse(), Ok(Count { voters: 3, learners: 2 }));
        assert_eq!("3+2".parse::<Count>().unwrap().to_string(), "3+2");
        for wrong in ["0", "3+", "+1", "three", "10"] {
            assert!(wrong.parse::<Count>().is_err(), "{wrong}");
        }
    }
}
