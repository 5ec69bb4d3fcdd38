//! An example of each use case's parameters, for the OpenAPI document and the tests that walk it.

use serde_json::{Value, json};

use super::UseCase;

/// Parameters that [`Call::parse`](super::Call::parse) takes.
pub fn example(case: UseCase) -> Value {
    // The key of this request is nobody's.
    const REQUEST: &str = "-----BEGIN CERTIFICATE REQUEST-----\n\
        MIHhMIGIAgEAMCYxJDAiBgNVBAMMG3JjZ2VuIHNlbGYgc2lnbmVkIGNlcnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ=\n\
        -----END CERTIFICATE REQUEST-----\n";
    match case {
        UseCase::Status
        | UseCase::Complaints
        | UseCase::Notices
        | UseCase::CredentialUses
        | UseCase::Accounts
        | UseCase::NodeKeys
        | UseCase::Authority
        | UseCase::StepAuthority
        | UseCase::CancelAuthority
        | UseCase::RenewCertificate
        | UseCase::Backups
        | UseCase::JoinTokens
        | UseCase::WitnessTokens
        | UseCase::Witnesses
        | UseCase::Verifiers
        | UseCase::AuditLogs
        | UseCase::AuditReceivers
        | UseCase::Operators
        | UseCase::Approvals
        | UseCase::TwoPersonRule
        | UseCase::EndOwnSession
        | UseCase::OwnOperator => json!({}),
        UseCase::Policies | UseCase::AccountDetails => json!({ "account": "demo" }),
        UseCase::Contents => {
            json!({ "account": "demo", "content": "film-1", "after": "", "versions_max": "100" })
        }
        UseCase::PolicyUses => {
            json!({ "account": "demo", "policy": "hd", "after": "film-1", "contents_max": "100" })
        }
        UseCase::AuditDigest => json!({ "account": "demo", "viewer": "user-4711" }),
        UseCase::AuditSearch => json!({
            "account": "demo",
            "content": "film-1",
            "key_id": "01234567-89ab-cdef-0123-456789abcdef",
            "credential": "encryption-1",
            "operator": "",
            "address": "192.0.2.7",
            "action": "key.read",
            "outcome": "done",
            "from": "2026-11-22T16:00:00Z",
            "to": "2026-11-23T16:00:00Z",
            "reference": "7",
            "viewer": "",
            "newest_first": "true",
            "limit": "100",
            "after": "1/0011223344556677:5"
        }),
        UseCase::AuditEvents => {
            json!({ "node": "1", "log": "0011223344556677", "at": "1", "from": "0", "events_max": "100" })
        }
        UseCase::Keyring => json!({ "count": "true" }),
        UseCase::AddAccount => json!({ "account": account(), "if_absent": true }),
        UseCase::ChangeAccount => json!({
            "id": "acme",
            "change": { "Settings": { "allow_list": ["10.20.0.0/16"], "license_url": null } }
        }),
        UseCase::RemoveAccount => json!({ "id": "acme" }),
        UseCase::DeclareAccounts => json!({ "revision": 7, "digest": "00".repeat(32) }),
        UseCase::CompareAccount => declared(),
        UseCase::DeclareAccount => json!({ "revision": 7, "declared": declared() }),
        UseCase::PutPolicy => json!({
            "account": "demo",
            "policy": { "name": "hd", "license_duration_seconds": 86400 },
            "condition": "Always"
        }),
        UseCase::DeletePolicy => json!({ "account": "demo", "name": "sd", "condition": "Always" }),
        UseCase::AttachPolicy => {
            json!({ "account": "demo", "content": "film-1", "name": "hd", "if_absent": false })
        }
        UseCase::DetachPolicy => json!({ "account": "demo", "content": "film-1" }),
        UseCase::SetDefaultPolicy => json!({ "account": "demo", "name": null }),
        UseCase::RotateDocuments => json!({ "account": "demo", "content": "film-1" }),
        UseCase::EndRental => {
            json!({ "account": "demo", "content": "film-1", "viewer": { "user": "u-1" } })
        }
        UseCase::FreeSlot => json!({ "account": "demo", "content": "film-1", "user": "u-1", "udid": "d-1" }),
        UseCase::AddToken | UseCase::AddWitnessToken => json!({
            "id": "00112233445566aa",
            "secret_digest": "00".repeat(32),
            "expires_at_ms": 4_000_000_000_000_u64,
            "learner": false,
            "zone": null
        }),
        UseCase::RevokeToken => json!({ "id": "00112233445566aa" }),
        UseCase::Change => json!({ "change": { "TransferLeader": null }, "force": false, "dry_run": true }),
        UseCase::RevokeCertificate => json!({ "node": 9, "force": false }),
        UseCase::RaiseFeatureLevel => json!({ "to": 4 }),
        UseCase::ScheduleBackups => {
            json!({ "every_s": 21600, "keep": 14, "directory": "/var/backups/keymoot" })
        }
        UseCase::NoteBackup => json!({
            "node": 1,
            "made_at_ms": 1_700_000_000_000_u64,
            "index": 1,
            "bytes": 4096,
            "digest": "0cdb590af1d3810ec94c87a65f909e69",
            "file": "/var/backups/keymoot/1.backup"
        }),
        UseCase::Rewrap => Value::Null,
        UseCase::AddOperator => json!({
            "name": "alice@example.net",
            "roles": ["viewer", "operator"],
            "certificate_request": REQUEST,
            "life_s": 7_776_000
        }),
        UseCase::SetRoles => json!({ "name": "alice@example.net", "roles": ["auditor"] }),
        UseCase::AddOperatorCertificate => {
            json!({ "name": "alice@example.net", "certificate_request": REQUEST })
        }
        UseCase::RenewOwnCertificate => json!({ "certificate_request": REQUEST }),
        UseCase::RevokeOperatorCertificate => {
            json!({ "name": "alice@example.net", "fingerprint": "00".repeat(32) })
        }
        UseCase::SetOwnPassword => json!({ "password": "correct horse battery", "new_codes": true }),
        UseCase::SetPassword => json!({ "name": "alice@example.net", "password": "correct horse battery" }),
        UseCase::Sessions => json!({ "name": "alice@example.net" }),
        UseCase::EndSession => json!({ "name": "alice@example.net", "session": "00".repeat(32) }),
        UseCase::SetTwoPersonRule => {
            json!({ "acts": ["export-keys", "remove-account"], "within_s": 86400 })
        }
        UseCase::Approve | UseCase::Withdraw => json!({ "id": 7 }),
        UseCase::OpenExport => json!({ "account": "acme", "for_s": 3600 }),
        UseCase::PermitKeyRemoval => json!({ "id": "mk1" }),
        UseCase::RevokeOperator | UseCase::AcknowledgeOperator => json!({ "name": "alice@example.net" }),
    }
}

fn account() -> Value {
    json!({
        "id": "acme",
        "ca_systems": ["ovp"],
        "allow_list": ["10.20.0.0/16"],
        "credentials": [
            { "name": "encryption-1", "scope": "encryption", "scheme": "udrm-sha1", "key": "a long random text" }
        ]
    })
}

fn declared() -> Value {
    json!({ "account": account(), "expires_at_ms": { "encryption-1": 4_000_000_000_000_u64 } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Call;

    #[test]
    fn each_example_is_read_and_written_alike() {
        for case in UseCase::ALL.iter().copied() {
            let call = Call::parse(case, example(case)).unwrap_or_else(|error| panic!("{case:?}: {error}"));
            assert_eq!(call.use_case(), Some(case));
            let (again, parameters) = call.to_parameters().unwrap();
            assert_eq!(again, case);
            let reread = Call::parse(case, parameters).unwrap_or_else(|error| panic!("{case:?}: {error}"));
            assert_eq!(format!("{call:?}"), format!("{reread:?}"));
        }
    }

    #[test]
    fn a_member_that_nobody_knows_is_named() {
        for case in UseCase::ALL.iter().copied() {
            let mut parameters = example(case);
            let Some(members) = parameters.as_object_mut() else { continue };
            members.insert("rôle".to_owned(), json!("root"));
            let error = Call::parse(case, parameters).unwrap_err().to_string();
            assert!(error.contains("rôle"), "{case:?}: {error}");
        }
    }
}
