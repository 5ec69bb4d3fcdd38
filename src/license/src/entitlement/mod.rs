//! Entitlements: whether a viewer may have a license, and on which terms.
//!
//! The account and the `ca_system` of the signed custom data pick one entry of the configuration, and
//! only hosts that stand there are asked. All else fails closed: no entry, an error, a time-out, an
//! answer that is empty, misspelt or not positive give no license. A viewer who was entitled is
//! remembered for seconds, a refusal never. Viewers' tokens are neither logged nor kept: what is
//! remembered is found by a digest.

mod back_end;
mod file;
mod member;
mod memory;
mod ott;
mod ovp;
mod own_json;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use keymoot_crypto::secret_file::SecretFileError;
use keymoot_model::{Account, AccountId, ContentId, PolicyName};
use keymoot_protocol::CaSystem;
use keymoot_telemetry::Metrics;

use super::outgoing::{Outgoing, OutgoingError};
pub use file::{AdapterKind, EntitlementEntry, EntitlementsFileError, load_entitlements};

use back_end::BackEnd;
use memory::{Memory, ViewerDigest};

/// Who wants to watch what. All but the address was signed for.
#[derive(Clone, Copy)]
pub struct Viewer<'a> {
    /// The account that signed.
    pub account: &'a Account,
    /// The content.
    pub content: &'a ContentId,
    /// The back end that the viewer belongs to, in the client's words.
    pub ca_system: &'a CaSystem,
    /// The viewer's token. A secret.
    pub user_token: Option<&'a str>,
    /// The viewer's device.
    pub udid: Option<&'a str>,
    /// The files of the content.
    pub files: &'a [String],
    /// A number or text that is passed on.
    pub additional_cas_system: Option<&'a str>,
    /// Where the request came from.
    pub client: IpAddr,
}

/// On which terms a viewer may have a license. What is absent leaves the terms to the policy; what is
/// there is an upper bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entitled {
    /// The policy, in place of the content's own.
    pub policy: Option<PolicyName>,
    /// How long the license is good, in seconds from now.
    pub license_duration_s: Option<NonZeroU32>,
    /// How long playback may last once it began, in seconds.
    pub playback_duration_s: Option<NonZeroU32>,
    /// How long playback may wait to begin, in seconds.
    pub rental_duration_s: Option<NonZeroU32>,
}

/// Why there is no license. The message is fit for the caller: it names no back end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEntitled {
    /// No entry is for the account and its `ca_system`.
    #[error("no entitlement back end is configured for the account and its ca_system")]
    NoBackEnd,
    /// The back end said no.
    #[error("the viewer is not entitled to the content")]
    Refused,
    /// The back end could not be asked or did not answer in time.
    #[error("the entitlement back end gave no answer")]
    Unanswered(#[source] OutgoingError),
    /// As many were asked at once as may be, all the time.
    #[error("the entitlement back end gave no answer")]
    Busy,
    /// The back end answered with another status than 200 or 403.
    #[error("the entitlement back end gave no answer that can be used")]
    Status(u16),
    /// An answer that means nothing that may be acted on.
    #[error("the entitlement back end gave no answer that can be used")]
    Unusable(#[source] AnswerFault),
}

/// What is wrong with an answer. No word of it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// Not the JSON object that is expected: not JSON, a wrong type, or a member that is not known.
    #[error("it is not the expected JSON object, at line {line} column {column}")]
    Form {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A member that must be there is not.
    #[error("{member} is missing")]
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// A policy that is no policy's name.
    #[error("policy is no policy's name")]
    Policy,
    /// A duration that is not a positive number of seconds.
    #[error("{member} is not a positive number of seconds")]
    Duration {
        /// Its name.
        member: &'static str,
    },
}

impl NotEntitled {
    /// The label under which it is counted.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::NoBackEnd => "no_back_end",
            Self::Refused => "refused",
            Self::Unanswered(OutgoingError::Timeout { .. }) | Self::Busy => "timeout",
            Self::Unanswered(_) => "unreachable",
            Self::Status(_) | Self::Unusable(_) => "unusable_answer",
        }
    }

    /// Whether somebody said no; otherwise nobody could be asked, and asking again may help.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::NoBackEnd | Self::Refused)
    }
}

/// Why entries of the configuration cannot be put to use.
#[derive(Debug, thiserror::Error)]
pub enum EntitlementSetupError {
    /// The token for a back end cannot be read.
    #[error("account `{account}`: the bearer_file of an entitlement cannot be used")]
    Bearer {
        /// The account.
        account: AccountId,
        /// Why.
        source: SecretFileError,
    },
    /// The token cannot stand in a header.
    #[error(
        "account `{account}`: the bearer_file of an entitlement must hold a token of visible ASCII characters"
    )]
    BearerText {
        /// The account.
        account: AccountId,
    },
}

/// How one entry decides.
enum Adapter {
    /// With the same answer for everyone.
    Static(Entitled),
    /// By asking.
    Asked(BackEnd),
}

/// An entry, ready for use.
struct Rule {
    account: AccountId,
    ca_system: Option<String>,
    adapter: Adapter,
}

/// The decisions of a node.
pub struct Entitlements {
    rules: Vec<Rule>,
    outgoing: Outgoing,
    memory: Memory,
    metrics: Arc<Metrics>,
}

impl Entitlements {
    /// Decides by these entries; without any, nobody is entitled to anything.
    ///
    /// # Errors
    /// [`EntitlementSetupError`] when a token's file cannot be used.
    pub fn new(
        entries: &[EntitlementEntry],
        outgoing: Outgoing,
        metrics: Arc<Metrics>,
    ) -> Result<Self, EntitlementSetupError> {
        let rules = entries.iter().map(Rule::new).collect::<Result<_, _>>()?;
        Ok(Self { rules, outgoing, memory: Memory::new(), metrics })
    }

    /// Whether the viewer may have a license, and on which terms.
    ///
    /// # Errors
    /// [`NotEntitled`]: there must be no license, whatever the reason.
    pub async fn decide(&self, viewer: Viewer<'_>) -> Result<Entitled, NotEntitled> {
        let rule = self.rule_for(&viewer);
        let adapter = rule.map_or("none", |(_, rule)| rule.label());
        let (decided, outcome) = match rule {
            None => (Err(NotEntitled::NoBackEnd), None),
            Some((_, Rule { adapter: Adapter::Static(terms), .. })) => (Ok(terms.clone()), None),
            Some((number, Rule { adapter: Adapter::Asked(back_end), .. })) => {
                self.remembered_or_asked(number, back_end, viewer).await
            }
        };
        let outcome =
            outcome.unwrap_or_else(|| decided.as_ref().map_or_else(NotEntitled::outcome, |_| "entitled"));
        self.metrics.entitlements_total.with_label_values(&[adapter, outcome]).inc();
        if let Err(reason) = &decided {
            report(&viewer, adapter, reason);
        }
        decided
    }

    /// The entry for the viewer's very `ca_system`, else the account's for every other. A URL has to
    /// be named by an entry: nobody else is spoken to because a client says so.
    fn rule_for(&self, viewer: &Viewer<'_>) -> Option<(usize, &Rule)> {
        let own = || self.rules.iter().enumerate().filter(|(_, rule)| rule.account == viewer.account.id);
        own()
            .find(|(_, rule)| rule.ca_system.as_deref().is_some_and(|system| viewer.ca_system.is(system)))
            .or_else(|| {
                let is_url = viewer.ca_system.as_str().contains("://");
                own().find(|(_, rule)| rule.ca_system.is_none() && !is_url)
            })
    }

    async fn remembered_or_asked(
        &self,
        number: usize,
        back_end: &BackEnd,
        viewer: Viewer<'_>,
    ) -> (Result<Entitled, NotEntitled>, Option<&'static str>) {
        let digest = ViewerDigest::of(number, &viewer);
        if let Some(entitled) = self.memory.recall(&digest, back_end.cache_for) {
            return (Ok(entitled), Some("remembered"));
        }
        let began = Instant::now();
        let decided = back_end.ask(&self.outgoing, viewer).await;
        let seconds = &self.metrics.entitlement_seconds;
        seconds.with_label_values(&[back_end.label()]).observe(began.elapsed().as_secs_f64());
        if let Ok(entitled) = &decided {
            // Counted from the question: what was answered may be as old as that.
            self.memory.remember(digest, began, back_end.cache_for, entitled);
        }
        (decided, None)
    }
}

/// What happened, without the viewer's token and the words of the back end.
fn report(viewer: &Viewer<'_>, adapter: &str, reason: &NotEntitled) {
    let cause = std::error::Error::source(reason).map(ToString::to_string);
    let (account, content) = (&viewer.account.id, viewer.content);
    match reason {
        NotEntitled::Refused => {
            tracing::info!(target: "audit", %account, %content, adapter, client = %viewer.client, "not entitled");
        }
        NotEntitled::Status(status) => {
            tracing::warn!(%account, %content, adapter, status, "an entitlement back end failed");
        }
        reason => {
            tracing::warn!(%account, %content, adapter, %reason, cause, "nobody could say who is entitled")
        }
    }
}

impl Rule {
    fn new(entry: &EntitlementEntry) -> Result<Self, EntitlementSetupError> {
        let adapter = match (entry.adapter, &entry.url) {
            (AdapterKind::Static, _) | (_, None) => Adapter::Static(Entitled {
                policy: entry.policy.clone(),
                license_duration_s: entry.license_duration_s,
                playback_duration_s: entry.playback_duration_s,
                rental_duration_s: entry.rental_duration_s,
            }),
            (kind, Some(url)) => Adapter::Asked(BackEnd::new(kind, url, entry)?),
        };
        Ok(Self { account: entry.account.clone(), ca_system: entry.ca_system.clone(), adapter })
    }

    const fn label(&self) -> &'static str {
        match &self.adapter {
            Adapter::Static(_) => "static",
            Adapter::Asked(back_end) => back_end.label(),
        }
    }
}

#[cfg(test)]
mod tests;
