//! Answers of the admin API, to and from JSON. No secret is in one, not even wrapped.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use keymoot_cluster::{AccountDetails, AdminResponse};
use keymoot_model::{Account, MasterKeyId, Wrapped};

use super::UseCase;
use super::views::{
    AuditPageView, ContentsView, DetailsView, NodeKeyView, StatusOf, TokenView, UsesView, VerifierView,
};

/// An answer as it leaves.
pub(super) fn to_json(answer: AdminResponse) -> Result<Value, serde_json::Error> {
    match answer {
        AdminResponse::Accounts(accounts) => {
            let accounts = accounts.into_iter().map(without_secrets).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::from(accounts))
        }
        AdminResponse::AccountDetails(details) => {
            let AccountDetails { accounts, declaration } = *details;
            let accounts = accounts.into_iter().map(|(account, status)| {
                without_secrets(account).map(|account| StatusOf { account, status })
            });
            let accounts = accounts.collect::<Result<_, _>>()?;
            serde_json::to_value(DetailsView { accounts, declaration: declaration.map(Into::into) })
        }
        AdminResponse::JoinTokens(tokens) | AdminResponse::WitnessTokens(tokens) => {
            views::<TokenView, _>(tokens)
        }
        AdminResponse::Verifiers(verifiers) => views::<VerifierView, _>(verifiers),
        AdminResponse::NodeKeys(keys) => views::<NodeKeyView, _>(keys),
        AdminResponse::Contents(page) => serde_json::to_value(ContentsView::from(*page)),
        AdminResponse::CredentialUses(uses) => serde_json::to_value(UsesView::from(*uses)),
        AdminResponse::AuditFound(page) => serde_json::to_value(AuditPageView::from(*page)),
        AdminResponse::CertificateRenewed => Ok(json!({ "outcome": "done" })),
        AdminResponse::Status(mut status) => {
            status.keyring_check = None;
            serde_json::to_value(status)
        }
        other => {
            let tagged = serde_json::to_value(other)?;
            let own = tagged.as_object().and_then(|members| members.values().next().cloned());
            Ok(own.unwrap_or(tagged))
        }
    }
}

/// An answer as it arrives; what was left out is empty. `None`: it is none to this use case.
pub fn from_json(case: UseCase, body: Value) -> Option<AdminResponse> {
    let variant = match case {
        UseCase::JoinTokens => return Some(AdminResponse::JoinTokens(records::<TokenView, _>(body)?)),
        UseCase::WitnessTokens => return Some(AdminResponse::WitnessTokens(records::<TokenView, _>(body)?)),
        UseCase::Verifiers => return Some(AdminResponse::Verifiers(records::<VerifierView, _>(body)?)),
        UseCase::NodeKeys => return Some(AdminResponse::NodeKeys(records::<NodeKeyView, _>(body)?)),
        UseCase::Accounts => {
            let accounts = body.as_array()?.iter().cloned().map(with_blanks);
            return Some(AdminResponse::Accounts(accounts.collect::<Option<_>>()?));
        }
        UseCase::AccountDetails => {
            let DetailsView { accounts, declaration } = serde_json::from_value(body).ok()?;
            let accounts = accounts.into_iter().map(|own| Some((with_blanks(own.account)?, own.status)));
            let accounts = accounts.collect::<Option<_>>()?;
            let details = AccountDetails { accounts, declaration: declaration.map(Into::into) };
            return Some(AdminResponse::AccountDetails(Box::new(details)));
        }
        UseCase::Contents => {
            let view: ContentsView = serde_json::from_value(body).ok()?;
            return Some(AdminResponse::Contents(Box::new(view.into_page()?)));
        }
        UseCase::CredentialUses => {
            let view: UsesView = serde_json::from_value(body).ok()?;
            return Some(AdminResponse::CredentialUses(Box::new(view.into())));
        }
        UseCase::AuditSearch => {
            let view: AuditPageView = serde_json::from_value(body).ok()?;
            return Some(AdminResponse::AuditFound(Box::new(view.into_page()?)));
        }
        UseCase::RenewCertificate => return Some(AdminResponse::CertificateRenewed),
        UseCase::Rewrap => "Rewrapped",
        UseCase::Change => "Planned",
        UseCase::StepAuthority | UseCase::CancelAuthority => "Authority",
        other => other.name(),
    };
    serde_json::from_value(json!({ variant: body })).ok()
}

fn views<V: Serialize + From<R>, R>(records: Vec<R>) -> Result<Value, serde_json::Error> {
    serde_json::to_value(records.into_iter().map(V::from).collect::<Vec<_>>())
}

fn records<V: DeserializeOwned, R: From<V>>(body: Value) -> Option<Vec<R>> {
    let views: Vec<V> = serde_json::from_value(body).ok()?;
    Some(views.into_iter().map(R::from).collect())
}

fn without_secrets(account: Account) -> Result<Value, serde_json::Error> {
    let mut account = serde_json::to_value(account)?;
    for credential in credentials(&mut account) {
        if let Some(members) = credential.as_object_mut() {
            members.remove("secret");
        }
    }
    Ok(account)
}

fn with_blanks(mut account: Value) -> Option<Account> {
    let blank = Wrapped { master_key: MasterKeyId(String::new()), nonce: [0; 12], ciphertext: Vec::new() };
    let blank = serde_json::to_value(blank).ok()?;
    for credential in credentials(&mut account) {
        credential.as_object_mut()?.insert("secret".to_owned(), blank.clone());
    }
    serde_json::from_value(account).ok()
}

fn credentials(account: &mut Value) -> impl Iterator<Item = &mut Value> {
    account.get_mut("credentials").and_then(Value::as_array_mut).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_cluster::CredentialUses;
    use keymoot_model::{AccountId, AccountStatus, ContentId, Credential, Scheme, Scope, TrackName};
    use keymoot_state::{AppliedDeclaration, ContentVersion, ContentsPage, NodeKeyRecord};

    fn account() -> Account {
        let secret = Wrapped {
            master_key: MasterKeyId("a master key".to_owned()),
            nonce: [7; 12],
            ciphertext: vec![7; 40],
        };
        let (name, scope, scheme) = ("one".to_owned(), Scope::Encryption, Scheme::UdrmSha1);
        let credential = Credential { name, scope, scheme, secret, created_at_ms: 1 };
        let new: super::super::NewAccount = serde_json::from_str(r#"{ "id": "acme" }"#).unwrap();
        let account = new.wrap(&keymoot_crypto::Keyring::generate().unwrap()).unwrap();
        Account { credentials: vec![credential], ..account }
    }

    #[test]
    fn no_answer_about_accounts_has_a_secret_and_all_else_reads_back() {
        let status = AccountStatus { suspended_at_ms: Some(3), ..AccountStatus::default() };
        let declaration = Some(AppliedDeclaration { revision: 2, digest: [0xab; 32] });
        let details = AccountDetails { accounts: vec![(account(), status.clone())], declaration };
        let text = to_json(AdminResponse::AccountDetails(Box::new(details))).unwrap();
        assert!(!text.to_string().contains("a master key"), "{text}");
        let read = from_json(UseCase::AccountDetails, text).unwrap();
        let AdminResponse::AccountDetails(read) = read else { panic!("{read:?}") };
        assert_eq!((read.declaration, &read.accounts[0].1), (declaration, &status));
        assert_eq!(read.accounts[0].0.credentials[0].name, "one");
        assert!(read.accounts[0].0.credentials[0].secret.ciphertext.is_empty());
        let text = to_json(AdminResponse::Accounts(vec![account()])).unwrap();
        assert!(!text.to_string().contains("a master key"), "{text}");
    }

    #[test]
    fn pages_uses_and_keys_read_back() {
        let version = ContentVersion {
            content: ContentId::new("film-1").unwrap(),
            track: TrackName::new("sd").unwrap(),
            version: 1,
            kid: None,
            is_current: true,
            period: None,
            rotates_s: Some(10),
            is_supplied: false,
            created_at_ms: 5,
        };
        let page = ContentsPage { versions: vec![version], next: Some(vec![0xff, 1]) };
        let uses = vec![(AccountId::new("acme").unwrap(), "one".to_owned(), 4)];
        let uses = CredentialUses { since_ms: 1, uses };
        let master_key = MasterKeyId("mk1".into());
        let verifier = keymoot_model::MasterKeyVerifier { master_key, public_key: [0xcd; 32] };
        let key = NodeKeyRecord {
            node: 1,
            digest: [0xab; 32],
            registered_at_ms: 2,
            revoked_at_ms: Some(3),
            witness: true,
        };
        for (case, answer) in [
            (UseCase::Contents, AdminResponse::Contents(Box::new(page))),
            (UseCase::CredentialUses, AdminResponse::CredentialUses(Box::new(uses))),
            (UseCase::NodeKeys, AdminResponse::NodeKeys(vec![key])),
            (UseCase::Verifiers, AdminResponse::Verifiers(vec![verifier])),
            (UseCase::Witnesses, AdminResponse::Witnesses([3].into())),
            (UseCase::RenewCertificate, AdminResponse::CertificateRenewed),
            (UseCase::Notices, AdminResponse::Notices(vec!["a; b".to_owned()])),
        ] {
            let before = format!("{answer:?}");
            let read = from_json(case, to_json(answer).unwrap());
            assert_eq!(read.map(|read| format!("{read:?}")), Some(before));
        }
    }
}
