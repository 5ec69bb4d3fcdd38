//! The receivers of the audit: whether they can be reached from here.

use super::finding::Finding;
use crate::cli::operator::block_on;
use crate::config::Config;
use keymoot_command::Failure;
use keymoot_shipping::reach;

pub(super) fn check(config: &Config) -> Result<Vec<Finding>, Failure> {
    block_on(async {
        let mut findings = Vec::new();
        for receiver in &config.audit.receiver {
            let (check, place) = (format!("audit receiver {}", receiver.name), receiver.place());
            findings.push(match reach(receiver).await {
                Ok(()) => Finding::ok(check, format!("{place} can be reached")),
                Err(reason) => Finding::warn(
                    check,
                    format!("{place}: {reason}"),
                    "see the receiver, and its table [[audit.receiver]]; its events are kept for it meanwhile",
                ),
            });
        }
        Ok(findings)
    })
}
