//! Entitlements: whether a viewer may have a license, and on which terms.
//!
//! The account and the `ca_system` of the signed custom data select one entry of the configuration,
//! and only hosts named there are contacted. All else fails closed: no entry, an error, a time-out,
//! or a response that is empty, misspelt or not positive means no license. A positive decision is
//! cached for seconds, a refusal never. Viewers' tokens are neither logged nor kept: the cache is
//! keyed by a digest.

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

pub use file::{AdapterKind, EntitlementEntry, EntitlementsFileError, load_entitlements};
use keymoot_outgoing::{Outgoing, OutgoingError};

use back_end::BackEnd;
use memory::{Memory, ViewerDigest};

/// A viewer and the requested content. All but the address is signed.
#[derive(Clone, Copy)]
pub struct Viewer<'a> {
    /// The account that signed.
    pub account: &'a Account,
    pub content: &'a ContentId,
    /// The `ca_system` of the custom data, which selects the back end.
    pub ca_system: &'a CaSystem,
    /// The viewer's token. A secret.
    pub user_token: Option<&'a str>,
    pub udid: Option<&'a str>,
    /// The files of the content.
    pub files: &'a [String],
    /// A number or text that is passed on to the back end.
    pub additional_cas_system: Option<&'a str>,
    /// The address that the request came from.
    pub client: IpAddr,
}

/// The terms on which a viewer may have a license. Absent terms are those of the policy; present
/// ones are upper bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entitled {
    /// The policy, in place of the content's own.
    pub policy: Option<PolicyName>,
    /// How long the license is valid, in seconds from now.
    pub license_duration_s: Option<NonZeroU32>,
    /// How long playback may last after it began, in seconds.
    pub playback_duration_s: Option<NonZeroU32>,
    /// How long after the license playback may begin, in seconds.
    pub rental_duration_s: Option<NonZeroU32>,
}

/// Why there is no license. The message is fit for the caller: it names no back end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEntitled {
    /// No entry is for the account and its `ca_system`.
    #[error("no entitlement back end is configured for the account and its ca_system")]
    NoBackEnd,
    /// The back end refused.
    #[error("the viewer is not entitled to the content")]
    Refused,
    /// The back end could not be asked or did not answer in time.
    #[error("the entitlement back end gave no answer")]
    Unanswered(#[source] OutgoingError),
    /// The back end had the most requests that are allowed for the whole time.
    #[error("the entitlement back end gave no answer")]
    Busy,
    /// The back end answered with another status than 200 or 403.
    #[error("the entitlement back end gave no answer that can be used")]
    Status(u16),
    /// The response cannot be acted on.
    #[error("the entitlement back end gave no answer that can be used")]
    Unusable(#[source] AnswerFault),
}

/// What is wrong with a response. The response is not quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// The body is not the expected JSON object: not JSON, a wrong type, or an unknown member.
    #[error("it is not the expected JSON object, at line {line} column {column}")]
    Form {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A required member is missing.
    #[error("{member} is missing")]
    Missing { member: &'static str },
    /// The policy is not a valid policy name.
    #[error("policy is no policy's name")]
    Policy,
    /// A duration is not a positive number of seconds.
    #[error("{member} is not a positive number of seconds")]
    Duration { member: &'static str },
}

impl NotEntitled {
    /// The label of the outcome in metrics.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::NoBackEnd => "no_back_end",
            Self::Refused => "refused",
            Self::Unanswered(OutgoingError::Timeout { .. }) | Self::Busy => "timeout",
            Self::Unanswered(_) => "unreachable",
            Self::Status(_) | Self::Unusable(_) => "unusable_answer",
        }
    }

    /// Whether the viewer was refused. Otherwise there was no decision, and a retry may help.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::NoBackEnd | Self::Refused)
    }
}

/// Why entries of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EntitlementSetupError {
    /// The token for a back end cannot be read.
    #[error("account `{account}`: the bearer_file of an entitlement cannot be used")]
    Bearer { account: AccountId, source: SecretFileError },
    /// The token is not a valid header value.
    #[error(
        "account `{account}`: the bearer_file of an entitlement must hold a token of visible ASCII characters"
    )]
    BearerText { account: AccountId },
}

/// How one entry decides.
enum Adapter {
    /// The same decision for everyone.
    Static(Entitled),
    Asked(BackEnd),
}

/// An entry that is ready for use.
struct Rule {
    account: AccountId,
    ca_system: Option<String>,
    adapter: Adapter,
}

/// The entitlement decisions of a node.
pub struct Entitlements {
    rules: Vec<Rule>,
    outgoing: Outgoing,
    memory: Memory,
    metrics: Arc<Metrics>,
}

impl Entitlements {
    /// Decides by these entries; without entries, nobody is entitled to anything.
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
    /// [`NotEntitled`] when there is no license, whatever the reason.
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

    /// The entry for exactly this `ca_system`, else the account's entry for all others. A URL must
    /// be named by an entry: a client cannot make this node contact another host.
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
            // The age counts from the request, because the decision may be as old as that.
            self.memory.remember(digest, began, back_end.cache_for, entitled);
        }
        (decided, None)
    }
}

/// Logs the refusal, without the viewer's token and the text of the back end.
fn report(viewer: &Viewer<'_>, adapter: &str, reason: &NotEntitled) {
    let cause = std::error::Error::source(reason).map(ToString::to_string);
    let (account, content) = (&viewer.account.id, viewer.content);
    match reason {
        NotEntitled::Refused => {
            tracing::info!(%account, %content, adapter, client = %viewer.client, "not entitled");
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
