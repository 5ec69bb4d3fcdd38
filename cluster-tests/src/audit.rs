//! What the audit of a cluster says, as an auditor asks for it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{RigError, operator};

/// An event, and where it stands.
#[derive(Clone, Debug)]
pub struct Told {
    pub node: u64,
    /// The log, and the number in it.
    pub place: (String, u64),
    pub event: Value,
}

impl Told {
    /// A member of the event that is text; empty where it has none.
    pub fn text(&self, member: &str) -> &str {
        self.event[member].as_str().unwrap_or_default()
    }

    /// Who did it, as it is known or claimed.
    pub fn actor(&self) -> &str {
        self.event["actor"]["id"].as_str().unwrap_or_default()
    }

    /// The ids of its keys.
    pub fn kids(&self) -> Vec<&str> {
        let keys = self.event["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter_map(|key| key["kid"].as_str()).collect()
    }
}

/// Searches the audit of the cluster that this configuration is of.
///
/// # Errors
/// When the command fails or prints something else.
pub fn search(config: &str, filter: &[&str]) -> Result<Vec<Told>, RigError> {
    let asked = ["audit", "search", "--all", "--output", "json", "--config", config];
    let printed = operator::keymoot(&[&asked[..], filter].concat())?.succeeded()?;
    let found: Value = serde_json::from_str(&printed)
        .map_err(|error| RigError::Program(format!("no JSON: {error}: {printed}")))?;
    let events = found["events"].as_array().cloned().unwrap_or_default();
    Ok(events
        .into_iter()
        .map(|mut found| Told {
            node: found["node"].as_u64().unwrap_or_default(),
            place: (found["log"].to_string(), found["number"].as_u64().unwrap_or_default()),
            event: found["event"].take(),
        })
        .collect())
}

/// Asks again and again for what is new.
#[derive(Debug)]
pub struct Follower {
    config: String,
    seen: BTreeSet<(u64, String, u64)>,
}

impl Follower {
    /// Of the cluster that this configuration is of, from now on.
    ///
    /// # Errors
    /// As for [`search`].
    pub fn new(config: String) -> Result<Self, RigError> {
        let mut follower = Self { config, seen: BTreeSet::new() };
        follower.fresh()?;
        Ok(follower)
    }

    /// What happened since it was asked last.
    ///
    /// # Errors
    /// As for [`search`].
    pub fn fresh(&mut self) -> Result<Vec<Told>, RigError> {
        let all = search(&self.config, &[])?;
        let is_new = |told: &Told| self.seen.insert((told.node, told.place.0.clone(), told.place.1));
        Ok(all.into_iter().filter(is_new).collect())
    }
}
