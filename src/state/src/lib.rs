//! The replicated state machine: commands in, responses out, always the same on every node.
//!
//! Invariants: [`apply()`] is the only mutator of a running cluster; it is deterministic, total and synchronous. It reads no
//! clock, draws no randomness, opens no secret and touches no file: time, key ids and wrapped keys are
//! decided before a command is proposed and travel in it. It reads and writes through [`Tables`], which the
//! `cluster` crate connects to the store.

mod accounts;
mod acts;
mod apply;
mod approvals;
mod audit_logs;
mod authorities;
mod backups;
mod clients;
mod command;
mod contents;
mod deletion;
mod digest;
mod directories;
mod documents;
mod features;
mod join_tokens;
mod kids;
mod layout;
mod leases;
mod listing;
mod named;
mod node_keys;
mod nodes;
mod nonces;
mod operators;
mod policies;
mod query;
mod rebuild;
mod record;
mod rentals;
mod response;
mod rewrap;
mod rotation;
mod second_person;
mod secrets;
mod sessions;
mod sign_in;
mod survey;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;
mod wraps;

pub use accounts::{
    AccountRefusal, AppliedDeclaration, NEVER_ENDS_MS, account_status, applied_declaration,
    document_settings, restored_accounts,
};
pub use acts::{Act, ActKind, ActKindError, TwoPersonRule};
pub use apply::apply;
pub use approvals::{
    APPROVALS_MAX, ApprovalChange, ApprovalEnd, ApprovalRecord, ApprovalRefusal, WAITING_MAX, approvals,
};
pub use audit_logs::{
    AUDIT_CHECKPOINTS_MAX, AUDIT_LOGS_OF_NODE_MAX, AuditCheckpoint, AuditCosignature, AuditLogChange,
    AuditLogId, AuditLogIdError, AuditLogName, AuditLogRecord, AuditLogRefusal, AuditPredecessor, AuditSize,
    OLDER_AUDIT_CHECKPOINTS_MAX, audit_log, audit_logs, current_audit_log, keeps_audit_logs,
    older_audit_checkpoints,
};
pub use authorities::{AuthorityChange, NodeTrust, authority_change, node_trust, retired_authorities};
pub use backups::{BackupFailure, BackupProgress, BackupSchedule, BackupTurn, Backups, GoodBackup, backups};
pub use command::{Admission, Command, NewKey, NewSeed, NodeFacts, PolicyCondition, Proposal};
pub use contents::{
    ContentVersion, ContentsPage, LISTED_MAX, PolicyUsesPage, contents_page, policy_uses_page,
};
pub use deletion::DELETED_VERSIONS_MAX;
pub use digest::Digest;
pub use directories::enrolled_directory;
pub use documents::{
    DOCUMENT_KEYS_MAX, DOCUMENT_VERSIONS_MAX, DocumentContent, DocumentKeyRecord, DocumentRefusal,
    DocumentSeedRecord, DocumentVersion, NewDocument, NewDocumentKey, NewDocumentSeed, NotedKid,
    TRACKS_OF_KEY_MAX, current_document_seed, document_content, document_key_of_track, document_seed,
    documents_from_bytes, documents_to_bytes, next_document_version, noted_kid,
};
pub use features::{
    ACCOUNT_LIFE, FEATURE_LEVEL, OPERATORS, PROVEN_PEERS, SCHEDULED_BACKUPS, WITNESSES, level_of,
    version_of_level,
};
pub use join_tokens::{TokenKind, TokenRefusal, check_join_token, join_tokens};
pub use kids::key_by_kid;
pub use layout::KEY_BYTES_MAX;
pub use listing::{KeysPage, ListedKey, keys_page};
pub use named::{RecordName, record_name};
pub use node_keys::{
    KeyStanding, VERIFIERS_MAX, forget_node_keys, key_standing, registered_key, registered_keys, verifiers,
    witnesses,
};
pub use nodes::{node, nodes};
pub use nonces::NONCES_REMEMBERED_S;
pub use operators::{
    OPERATOR_CREDENTIALS_MAX, OPERATORS_MAX, OperatorCertificate, OperatorChange, OperatorCredential,
    OperatorRecord, OperatorRefusal, Voucher, forget_operators, operator_of_certificate, operators,
    sorted_roles,
};
pub use policies::{
    ListedPolicy, POLICIES_MAX, TooManyPolicies, attached_policy, default_policy, listed_policies,
    listed_policy, policies, policy, room_for_policy,
};
pub use query::{
    account, accounts, authority, auxiliary, cluster_identity, current_key, digest, kid_key, next_version,
    schedule, schedules, seed, server_secret, supplied_keys, supplied_periods,
};
pub use rebuild::{account_in, authority_in, forget_authority, suspend_restored};
pub use record::{
    AuthorityRecord, ClusterIdentity, EnrolledDirectory, JoinTokenRecord, NodeKeyRecord, NodeRecord,
    TokenSpent,
};
pub use rentals::rental_began_at_ms;
pub use response::Response;
pub use rewrap::SecretPlace;
pub use second_person::{
    KEYRING_STANDS_AFTER_MS, Standing, export_is_open, key_removal_is_permitted, standing_of, two_person_rule,
};
pub use secrets::{SECRET_TABLES, StoredSecret, secrets_of};
pub use sign_in::{
    OperatorSession, SESSION_IDLE_MS, SESSION_LIFE_MS, SESSIONS_MAX, SignInChange, SignInRecord,
    operator_of_session, operator_sessions, sign_in,
};
pub use survey::Survey;
pub use table::{TABLE_NAMES, Table};
pub use tables::{Pair, StateError, Tables};
pub use transaction::{Change, Transaction, stored_digest};
pub use wraps::{WRAPS_AT_ONCE_MAX, reserved_wraps};
