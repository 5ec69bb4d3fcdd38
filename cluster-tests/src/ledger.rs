//! Acknowledged keys, which can be read back later.
//!
//! A content has one key for ever: an acknowledgement that names another key for a content in the
//! ledger is a broken promise, which is kept for the report.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::raw::{self, Link};
use crate::signed::WIDEVINE;
use crate::{KeyAnswer, RigError, Signer};

/// Acknowledged keys by content.
#[derive(Clone, Default)]
pub struct Ledger {
    keys: BTreeMap<String, KeyAnswer>,
    broken: Vec<String>,
}

impl Ledger {
    /// Adds an acknowledged key.
    pub fn enter(&mut self, key: KeyAnswer, seen_at: &str) {
        match self.keys.get(&key.content_id) {
            None => {
                self.keys.insert(key.content_id.clone(), key);
            }
            Some(first) if first.key == key.key && first.key_id == key.key_id => {}
            Some(first) => self.broken.push(format!(
                "{} had key id {}, and {seen_at} answered {}",
                key.content_id, first.key_id, key.key_id
            )),
        }
    }

    /// The number of contents with an acknowledged key.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The names of all contents.
    pub fn contents(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }

    /// Reads every key back from every node, and lists those that are lost, changed or shared by
    /// two contents. Several threads read at once, because each read is a round through the quorum.
    ///
    /// # Errors
    /// When a node does not answer at all.
    pub fn audit(&self, signer: &Signer, nodes: &[SocketAddr]) -> Result<Vec<String>, RigError> {
        let mut findings = self.broken.clone();
        findings.extend(self.shared_keys());
        let all: Vec<(&String, &KeyAnswer)> = self.keys.iter().collect();
        let share = all.len().div_ceil(READERS_PER_NODE).max(1);
        let answers = std::thread::scope(|scope| {
            let readers: Vec<_> = nodes
                .iter()
                .flat_map(|node| all.chunks(share).map(move |part| (*node, part)))
                .map(|(node, part)| scope.spawn(move || read_back(signer, node, part)))
                .collect();
            readers.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for answer in answers {
            let part = answer.map_err(|_| RigError::Program("a reader panicked".to_owned()))?;
            findings.extend(part?);
        }
        Ok(findings)
    }

    /// Asserts that every one of these nodes returns every key as it was acknowledged.
    ///
    /// # Panics
    /// When one does not, or a node does not answer.
    #[track_caller]
    pub fn assert_kept(&self, signer: &Signer, nodes: &[SocketAddr]) {
        let findings = self.audit(signer, nodes).unwrap_or_else(|error| panic!("{error}"));
        assert!(findings.is_empty(), "{findings:#?}");
    }

    fn shared_keys(&self) -> Vec<String> {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let mut shared = Vec::new();
        for (content, key) in &self.keys {
            if let Some(other) = owners.insert(&key.key_id, content) {
                shared.push(format!("{content} and {other} share the key id {}", key.key_id));
            }
        }
        shared
    }
}

/// Enough for reads at a node to overlap, few enough for two cores.
const READERS_PER_NODE: usize = 4;

fn read_back(
    signer: &Signer,
    node: SocketAddr,
    part: &[(&String, &KeyAnswer)],
) -> Result<Vec<String>, RigError> {
    let mut findings = Vec::new();
    let mut link = Link::open(node, raw::ANSWER_WITHIN)?;
    for (content, acknowledged) in part {
        let request = signer.request("GET", WIDEVINE, &signer.custom_data(content, &[]));
        let answer = link.ask(&request, raw::ANSWER_WITHIN)?;
        match KeyAnswer::from_answer(&answer) {
            Ok(key) if key == **acknowledged => {}
            Ok(key) => findings.push(format!(
                "{node} changed {content}: key id {} was acknowledged, {} was read",
                acknowledged.key_id, key.key_id
            )),
            Err(error) => findings.push(format!("{node} lost {content}: {error}")),
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(content: &str, key: &str, key_id: &str) -> KeyAnswer {
        KeyAnswer { key: key.into(), key_id: key_id.into(), content_id: content.into(), pssh: vec![] }
    }

    #[test]
    fn the_same_key_again_is_no_finding() {
        let mut ledger = Ledger::default();
        ledger.enter(key("a", "k", "i"), "node 1");
        ledger.enter(key("a", "k", "i"), "node 2");
        assert_eq!((ledger.len(), ledger.audit(&Signer::new("", "", ""), &[]).unwrap()), (1, vec![]));
    }

    #[test]
    fn a_second_key_for_a_content_and_a_shared_key_id_are_findings() {
        let mut ledger = Ledger::default();
        ledger.enter(key("a", "k", "i"), "node 1");
        ledger.enter(key("a", "other", "j"), "node 2");
        ledger.enter(key("b", "k", "i"), "node 1");
        let findings = ledger.audit(&Signer::new("", "", ""), &[]).unwrap();
        assert_eq!(findings.len(), 2, "{findings:?}");
    }

    #[test]
    fn a_finding_names_no_key() {
        let mut ledger = Ledger::default();
        ledger.enter(key("a", "SECRET", "i"), "node 1");
        ledger.enter(key("a", "OTHER-SECRET", "j"), "node 2");
        let findings = ledger.audit(&Signer::new("", "", ""), &[]).unwrap().join(" ");
        assert!(!findings.contains("SECRET"), "{findings}");
    }
}
