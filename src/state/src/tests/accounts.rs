//! The life of accounts: what was taken away does not come back, whatever is proposed.

use keymoot_codec::Kind;
use keymoot_model::{
    Account, AccountChange, AccountId, AccountSettings, AccountStatus, Consistency, Credential,
    DocumentChange, DocumentPath, DocumentSettings, RevokedCredential, Scheme, Scope, Sha1Use,
};

use super::apply::{Memory, new_key};
use super::bytes::{body, command};
use super::histories::{account, identity};
use crate::*;

/// A cluster of this level, and the commands that were applied to it one by one.
struct History {
    memory: Memory,
    serial: u64,
}

impl History {
    fn new(feature_level: u32) -> Self {
        let mut history = Self { memory: Memory::default(), serial: 0 };
        history.run(Command::Found(identity(0, feature_level)));
        history
    }

    /// Applies a command at a time of its own: the serial in milliseconds.
    fn run(&mut self, command: Command) -> Response {
        self.serial += 1;
        self.memory.run_one(self.serial, self.serial, command)
    }

    fn change(&mut self, change: AccountChange) -> Response {
        self.run(Command::ChangeAccount { id: account(1).id, change: Box::new(change) })
    }

    fn revoke(&mut self, name: &str) -> Response {
        self.change(AccountChange::RevokeCredential { name: name.into() })
    }

    fn credentials(&self) -> Vec<String> {
        let account = crate::account(&self.memory, &account(1).id).unwrap().unwrap();
        account.credentials.into_iter().map(|credential| credential.name).collect()
    }

    fn status(&self) -> AccountStatus {
        account_status(&self.memory, &account(1).id).unwrap()
    }
}

#[test]
fn what_sha1_opens_is_bound_for_new_accounts_and_stays_for_those_from_before() {
    let sha1 = |sha1| AccountChange::Settings(Box::new(AccountSettings { sha1, ..Default::default() }));
    let put = || Command::PutAccount { account: with(&["a"]), if_absent: false };
    let mut history = History::new(3);
    history.run(put());
    assert_eq!(history.run(Command::RaiseFeatureLevel { to: 4 }), Response::Done);
    assert_eq!(history.status(), AccountStatus::default());
    history.run(put());
    assert_eq!(history.status().sha1, Sha1Use::Unbound, "it is no new account");
    history.run(Command::DeclareAccounts { revision: 1, digest: [1; 32] });
    let declare = |sha1| Command::DeclareAccount {
        revision: 1,
        account: Box::new(with(&["a"])),
        expires_at_ms: Vec::new(),
        sha1,
        documents: None,
    };
    history.run(declare(None));
    assert_eq!(history.status().sha1, Sha1Use::Unbound);
    history.run(declare(Some(Sha1Use::NoChanges)));
    assert_eq!(history.status().sha1, Sha1Use::NoChanges);
    assert_eq!(history.change(sha1(None)), Response::Unchanged);
    assert_eq!(history.change(sha1(Some(Sha1Use::Unbound))), Response::Done);
    assert_eq!(history.status().sha1, Sha1Use::Unbound);
    history.run(Command::DeleteAccount { id: account(1).id });
    history.run(put());
    assert_eq!(history.status().sha1, Sha1Use::Bound, "it is a new one");
    history.run(Command::DeleteAccount { id: account(1).id });
    history.run(declare(None));
    assert_eq!(history.status().sha1, Sha1Use::Bound);
    assert_eq!(History::new(3).status(), AccountStatus::default());
}

fn credential(name: &str) -> Credential {
    let secret = new_key(1, 1, 1).key;
    Credential {
        name: name.into(),
        scope: Scope::Encryption,
        scheme: Scheme::UdrmSha1,
        secret,
        created_at_ms: 5,
    }
}

fn with(names: &[&str]) -> Account {
    Account { credentials: names.iter().map(|name| credential(name)).collect(), ..account(1) }
}

fn refusal(refusal: AccountRefusal) -> Response {
    Response::AccountRefused(refusal)
}

fn add(name: &str) -> AccountChange {
    AccountChange::AddCredential { credential: credential(name), expires_at_ms: None }
}

#[test]
fn a_revoked_credential_leaves_no_secret_and_its_name_is_not_used_again() {
    let mut history = History::new(4);
    history.run(Command::PutAccount { account: with(&["a", "b"]), if_absent: true });
    assert_eq!(history.revoke("a"), Response::Done);
    assert_eq!(history.revoke("a"), Response::Unchanged);
    assert_eq!(history.revoke("x"), refusal(AccountRefusal::NoCredential));
    assert_eq!(history.credentials(), ["b"]);
    assert_eq!(history.change(add("a")), refusal(AccountRefusal::CredentialRevoked));
    assert_eq!(history.change(add("b")), Response::Unchanged, "a retry");
    let other = Credential { created_at_ms: 6, ..credential("b") };
    let other = AccountChange::AddCredential { credential: other, expires_at_ms: None };
    assert_eq!(history.change(other), refusal(AccountRefusal::CredentialExists));
    assert_eq!(history.change(add("c")), Response::Done);
    assert_eq!(history.status().revoked[0].revoked_at_ms, 3);
    // Nor by a declaration that still names it.
    history.run(Command::DeclareAccounts { revision: 7, digest: [7; 32] });
    let account = Box::new(with(&["a", "b", "c"]));
    history.run(Command::DeclareAccount {
        revision: 7,
        account,
        expires_at_ms: vec![("a".into(), 9)],
        sha1: None,
        documents: None,
    });
    assert_eq!(history.credentials(), ["b", "c"]);
    assert!(history.status().expires_at_ms.is_empty());
}

#[test]
fn an_older_declaration_changes_nothing_and_what_a_new_one_leaves_out_is_revoked() {
    let mut history = History::new(4);
    let declare = |revision, digest| Command::DeclareAccounts { revision, digest: [digest; 32] };
    let put = |revision, names: &[&str]| {
        let expires_at_ms = vec![("b".to_owned(), 99)];
        Command::DeclareAccount {
            revision,
            account: Box::new(with(names)),
            expires_at_ms,
            sha1: None,
            documents: None,
        }
    };
    assert_eq!(history.run(put(2, &["a"])), refusal(AccountRefusal::Revision { applied: 0 }));
    assert_eq!(history.run(declare(2, 2)), Response::Done);
    assert_eq!(history.run(put(2, &["a", "b"])), Response::Done);
    assert_eq!(history.run(declare(2, 2)), Response::Unchanged, "it may be repeated");
    assert_eq!(history.run(declare(2, 9)), refusal(AccountRefusal::Revision { applied: 2 }), "another file");
    assert_eq!(history.run(declare(3, 3)), Response::Done);
    assert_eq!(history.run(put(3, &["b"])), Response::Done);
    for old in [declare(2, 2), put(2, &["a", "b"]), declare(1, 1)] {
        assert_eq!(history.run(old), refusal(AccountRefusal::Revision { applied: 3 }));
    }
    assert_eq!(history.credentials(), ["b"]);
    assert!(history.status().has_revoked("a") && history.status().expires_at_ms["b"] == 99);
}

#[test]
fn a_declaration_takes_an_end_away_and_changes_no_secret_without_another_revision() {
    let mut history = History::new(4);
    let put = |revision, credential: Credential, end| Command::DeclareAccount {
        revision,
        account: Box::new(Account { credentials: vec![credential], ..with(&[]) }),
        expires_at_ms: vec![("a".to_owned(), end)],
        sha1: None,
        documents: None,
    };
    let declare = |revision| Command::DeclareAccounts { revision, digest: [1; 32] };
    let other = Credential { created_at_ms: 77, ..credential("a") };
    history.run(declare(1));
    assert_eq!(history.run(put(1, credential("a"), 99)), Response::Done);
    assert_eq!(history.status().expires_at_ms["a"], 99);
    assert_eq!(history.run(put(1, credential("a"), NEVER_ENDS_MS)), Response::Done);
    assert!(history.status().expires_at_ms.is_empty());
    let refused = refusal(AccountRefusal::Revision { applied: 1 });
    assert_eq!(history.run(put(1, other.clone(), 99)), refused);
    assert!(history.status().expires_at_ms.is_empty(), "nothing of it is done");
    // One that was begun and not carried through goes on.
    history.run(declare(2));
    assert_eq!(history.run(put(2, other, 99)), Response::Done);
}

#[test]
fn an_account_is_set_suspended_resumed_and_removed_with_all_that_is_known_of_it() {
    let mut history = History::new(4);
    assert_eq!(history.change(AccountChange::Suspend), refusal(AccountRefusal::NoAccount));
    history.run(Command::PutAccount { account: with(&["a"]), if_absent: true });
    let settings = AccountSettings {
        consistency: Some(Consistency::Local),
        license_url: Some(None),
        ..AccountSettings::default()
    };
    assert_eq!(history.change(AccountChange::Settings(Box::new(settings.clone()))), Response::Done);
    assert_eq!(history.change(AccountChange::Settings(Box::new(settings))), Response::Unchanged);
    let stored = crate::account(&history.memory, &account(1).id).unwrap().unwrap();
    assert_eq!((stored.consistency, stored.license_url), (Consistency::Local, None));
    history.change(AccountChange::Suspend);
    let since = history.status().suspended_at_ms;
    assert_eq!(history.change(AccountChange::Suspend), Response::Unchanged);
    assert!(since.is_some() && history.status().suspended_at_ms == since && history.status().is_suspended());
    assert_eq!(history.change(AccountChange::Resume), Response::Done);
    assert_eq!(history.status(), AccountStatus { sha1: Sha1Use::Bound, ..AccountStatus::default() });
    let ends = |expires_at_ms| AccountChange::ExpireCredential { name: "a".into(), expires_at_ms };
    assert_eq!(history.change(ends(Some(50))), Response::Done);
    assert!(history.status().is_expired("a", 50) && !history.status().is_expired("a", 49));
    assert_eq!(history.change(ends(None)), Response::Done);
    history.revoke("a");
    assert_eq!(applied_declaration(&history.memory).unwrap(), None);
    assert_eq!(history.run(Command::DeleteAccount { id: account(1).id }), Response::Done);
    assert_eq!(history.run(Command::DeleteAccount { id: account(1).id }), Response::Unchanged);
    assert_eq!(history.status(), AccountStatus::default());
    // So that no node takes the cluster for one that never had an account.
    assert!(applied_declaration(&history.memory).unwrap().is_some());
}

#[test]
fn what_a_backup_brings_back_is_suspended_until_it_is_confirmed() {
    let mut history = History::new(3);
    for number in 1..4 {
        history.run(Command::PutAccount { account: account(number), if_absent: true });
    }
    let accounts = accounts(&history.memory).unwrap();
    history.memory.run_by(|run| suspend_restored(run, &accounts, 70).unwrap());
    assert_eq!(restored_accounts(&history.memory).unwrap().len(), 3);
    assert!(history.status().is_suspended());
    // No program that does not know of this is let in.
    assert_eq!(cluster_identity(&history.memory).unwrap().unwrap().feature_level, ACCOUNT_LIFE);
    history.change(AccountChange::Resume);
    assert!(history.status().is_suspended(), "that is another suspension");
    history.change(AccountChange::ConfirmRestored);
    assert!(!history.status().is_suspended());
    assert_eq!(restored_accounts(&history.memory).unwrap().len(), 2);
}

fn documents() -> DocumentSettings {
    DocumentSettings {
        speke_paths: vec![DocumentPath::new("/a").unwrap()],
        cpix_paths: vec![DocumentPath::new("/b").unwrap()],
        fairplay_uri: Some("f".into()),
        aes128_uri: None,
        encrypted_only: true,
        apart: vec!["s:uhd-from-others".parse().unwrap()],
        systems: vec!["s".into()],
        note_later: true,
    }
}

#[test]
fn a_path_of_documents_is_one_accounts_and_declarations_hold_to_that() {
    let mut history = History::new(4);
    let path = |text: &str| vec![DocumentPath::new(text).unwrap()];
    let change = |speke_paths| {
        let documents = DocumentChange { speke_paths: Some(speke_paths), ..Default::default() };
        Box::new(AccountChange::Settings(Box::new(AccountSettings { documents, ..Default::default() })))
    };
    let ids = [1, 2].map(|n| account(n).id);
    for n in [1, 2] {
        history.run(Command::PutAccount { account: account(n), if_absent: false });
    }
    let own =
        |n: usize, text: &str| Command::ChangeAccount { id: ids[n].clone(), change: change(path(text)) };
    assert_eq!(history.run(own(0, "/a")), Response::Done);
    assert_eq!(history.run(own(0, "/A/")), Response::Unchanged);
    let taken = AccountRefusal::PathTaken { path: path("/a").remove(0), account: ids[0].clone() };
    assert_eq!(history.run(own(1, "/a")), refusal(taken.clone()));
    history.run(Command::DeclareAccounts { revision: 1, digest: [1; 32] });
    let declare = |n: u8, cpix: &str| Command::DeclareAccount {
        revision: 1,
        account: Box::new(account(n)),
        expires_at_ms: Vec::new(),
        sha1: None,
        documents: Some(Box::new(DocumentSettings { cpix_paths: path(cpix), ..Default::default() })),
    };
    assert_eq!(history.run(declare(2, "/a")), refusal(taken));
    assert_eq!(history.run(declare(1, "/b")), Response::Done);
    assert_eq!(history.run(own(1, "/a")), Response::Done, "it is free again");
    let known = crate::document_settings(&history.memory).unwrap();
    assert_eq!(known.iter().map(|(id, _)| id).collect::<Vec<_>>(), [&ids[0], &ids[1]]);
}

#[test]
fn commands_answers_and_records_of_accounts_have_these_bytes() {
    let id = AccountId::new("a").unwrap();
    let change = |change| command(Command::ChangeAccount { id: id.clone(), change: Box::new(change) });
    let name = || "n".to_owned();
    let settings = AccountSettings {
        consistency: Some(Consistency::Local),
        minimum_scheme: Some(None),
        license_url: Some(Some("u".into())),
        sha1: Some(Sha1Use::Bound),
        documents: DocumentChange {
            fairplay_uri: Some(None),
            encrypted_only: Some(true),
            ..Default::default()
        },
        ..AccountSettings::default()
    };
    let status = AccountStatus {
        suspended_at_ms: Some(1),
        restored_from_ms: Some(2),
        expires_at_ms: [(name(), 3)].into(),
        revoked: vec![RevokedCredential {
            name: name(),
            scope: Scope::License,
            scheme: Scheme::Basic,
            created_at_ms: 4,
            revoked_at_ms: 5,
        }],
        declared_revision: None,
        sha1: Sha1Use::Bound,
        documents: documents(),
    };
    let declared = Box::new(Account { id: id.clone(), license_url: None, ..account(1) });
    let found = [
        change(AccountChange::Settings(Box::new(settings))),
        change(AccountChange::Suspend),
        change(AccountChange::Resume),
        change(AccountChange::AddCredential {
            credential: Credential { secret: super::bytes::wrapped(), ..credential("n") },
            expires_at_ms: Some(6),
        }),
        change(AccountChange::ExpireCredential { name: name(), expires_at_ms: None }),
        change(AccountChange::RevokeCredential { name: name() }),
        change(AccountChange::ConfirmRestored),
        command(Command::DeclareAccounts { revision: 7, digest: [8; 32] }),
        command(Command::DeclareAccount {
            revision: 7,
            account: declared,
            expires_at_ms: vec![(name(), 9)],
            sha1: Some(Sha1Use::NoChanges),
            documents: Some(Box::new(documents())),
        }),
        body(Kind::Record, &Response::AccountRefused(AccountRefusal::NoAccount)),
        body(Kind::Record, &Response::AccountRefused(AccountRefusal::NoCredential)),
        body(Kind::Record, &Response::AccountRefused(AccountRefusal::CredentialExists)),
        body(Kind::Record, &Response::AccountRefused(AccountRefusal::CredentialRevoked)),
        body(Kind::Record, &Response::AccountRefused(AccountRefusal::Revision { applied: 7 })),
        body(
            Kind::Record,
            &Response::AccountRefused(AccountRefusal::PathTaken {
                path: DocumentPath::new("/a").unwrap(),
                account: id.clone(),
            }),
        ),
        body(Kind::Record, &AppliedDeclaration { revision: 7, digest: [8; 32] }),
        body(Kind::Record, &status),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 17] = [
    "05040302012301610000000101000101017500010000010100000100000101000000",
    "050403020123016101",
    "050403020123016102",
    "050403020123016103016e0000016d01010101010101010101010103020202050106",
    "050403020123016104016e00",
    "050403020123016105016e",
    "050403020123016106",
    "050403020124070808080808080808080808080808080808080808080808080808080808080808",
    "0504030201250701610000000000000100000001016e0901020101022f6101022f6201016600010111733a7568642d66726f6d2d6f746865727301017301",
    "1900",
    "1901",
    "1902",
    "1903",
    "190407",
    "1905022f610161",
    "070808080808080808080808080808080808080808080808080808080808080808",
    "0101010201016e0301016e01030405000101022f6101022f6201016600010111733a7568642d66726f6d2d6f746865727301017301",
];
