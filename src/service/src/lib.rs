//! What each request does, whatever protocol it came by.
//!
//! Here time, randomness and master keys are used, before a command is proposed: the state never
//! sees them. A use case takes a [`keymoot_auth::Grant`], which only authentication can build.

mod account_entry;
mod account_limits;
mod accounts;
mod accounts_file;
pub mod admin;
mod api_certificate;
mod attachment;
mod auxiliary;
mod changes;
mod clock;
mod credential_secret;
mod declaration;
mod document_settings;
mod documents;
mod drm_actor;
mod error;
mod export;
mod ingest;
mod keys;
mod kid_key;
mod leases;
mod licensable;
mod licenses;
mod lookup;
mod nonces;
mod periods;
mod policies;
mod policy_refusal;
mod quorum_contact;
mod readiness;
mod replicated_state;
mod schedules;
mod server_secret;
#[cfg(test)]
mod tests;
mod track;
mod viewer_digests;

pub use account_entry::{
    AccountEntry, AccountsFile, AccountsFileError, CredentialEnd, CredentialEntry, SigningKey, load_accounts,
};
pub use account_limits::{AccountLimitSettings, AccountLimits, AccountNumber, OverLimit};
pub use accounts::{Accounts, DocumentKind};
pub use accounts_file::MakeAccountError;
pub use api_certificate::{ApiCertificateError, ApiCertificateFiles};
pub use declaration::{
    Declaration, DeclarationError, DeclaredAccount, Difference, Differs, FirstAccounts, begin_accounts,
    left_out, refuse_changed_secrets,
};
pub use document_settings::{DocumentAccount, document_settings};
pub use documents::{DocumentKey, DocumentKeySource, WantedDocumentKey};
pub use drm_actor::{DrmActor, DrmHandle};
pub use error::ServiceError;
pub use export::{EXPORT_PAGE_KEYS, ExportPage, ExportedKey};
pub use ingest::{Ingested, Ingestion, KeyChange, WantedKeys, WantedTrack};
pub use keys::{Keys, ServedKey};
pub use leases::{LeaseError, Leases, Viewing};
pub use licenses::{License, LicenseError, LicenseParts, LicenseRequest, Licenses};
pub use lookup::LocatedKey;
pub use nonces::Nonces;
pub use periods::{PERIODS_MAX, PeriodRange, PeriodsError, ServedPeriod};
pub use policies::{ListedPolicy, Policies, PolicyCondition};
pub use quorum_contact::QuorumContact;
pub use readiness::{NotReady, Readiness};
pub use replicated_state::ReplicatedState;
pub use schedules::{SUPPLIED_LISTED_MAX, Schedule};
pub use server_secret::open_server_keys;
pub use track::ContentTrack;
pub use viewer_digests::known_server_keys;
