//! Which commands of tools a node refuses, however the tool was made.

use super::*;
use keymoot_model::{
    AccountId, AccountSettings, Consistency, Policy, PolicyName, ResponseShape, Scheme, Scope,
};
use keymoot_state::{POLICIES_MAX, PolicyCondition, Proposal, TABLE_NAMES, TokenSpent, Transaction, apply};
use keymoot_store as store;

use crate::raft::state_view::StateView;

const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;

/// A state to which these commands were applied.
struct Applied {
    view: StateView,
    _directory: tempfile::TempDir,
}

fn applied(commands: Vec<Command>) -> Applied {
    let directory = tempfile::tempdir().unwrap();
    let tables = store::Tables::open(directory.path(), TABLE_NAMES, store::TablesOptions::default()).unwrap();
    let view = StateView::new(tables.clone());
    let mut run = Transaction::new(&view);
    apply(&mut run, &Proposal { client: 1, serial: 1, floor: 1, now_ms: NOW_MS, commands }).unwrap();
    let (changes, _) = run.finish().unwrap();
    let mut batch = tables.begin();
    for change in changes {
        match change.value {
            Some(value) => batch.put(change.table as usize, &change.key, &value).unwrap(),
            None => batch.delete(change.table as usize, &change.key).unwrap(),
        }
    }
    tables.commit(batch).unwrap();
    Applied { view, _directory: directory }
}

fn refusal(command: &Command) -> String {
    refusal_at(command, &applied(Vec::new()), &Keyring::generate().unwrap())
}

fn refusal_at(command: &Command, state: &Applied, keyring: &Keyring) -> String {
    check(command, &state.view, keyring, NOW_MS).map_or_else(|error| error.to_string(), |()| String::new())
}

fn token(expires_at_ms: u64) -> JoinTokenRecord {
    JoinTokenRecord {
        id: [1; 8],
        secret_digest: [2; 32],
        expires_at_ms,
        learner: false,
        zone: None,
        revoked: false,
        spent: None,
    }
}

#[test]
fn a_token_lives_for_a_week_at_most_by_the_nodes_clock_and_is_not_over() {
    let put = |token| refusal(&Command::PutJoinToken(Box::new(token)));
    assert_eq!(put(token(NOW_MS + 1)), "");
    assert_eq!(put(token(NOW_MS + 168 * HOUR_MS)), "");
    assert_eq!(put(token(NOW_MS + 168 * HOUR_MS + 300_000)), "", "the tool's clock may be ahead");
    let month = put(token(NOW_MS + 720 * HOUR_MS));
    assert_eq!(
        month,
        "a token lives for at most 168h, and this one would live for 720h by this node's clock"
    );
    assert!(put(token(u64::MAX)).contains("at most 168h"));
    for over in [0, NOW_MS - 1, NOW_MS] {
        assert!(put(token(over)).contains("expired already"), "{over}");
    }
    let spent = Some(TokenSpent { node: 1, key_digest: [0; 32] });
    for odd in [
        JoinTokenRecord { spent, ..token(NOW_MS + HOUR_MS) },
        JoinTokenRecord { revoked: true, ..token(NOW_MS + HOUR_MS) },
        JoinTokenRecord { zone: Some("z".repeat(1025)), ..token(NOW_MS + HOUR_MS) },
    ] {
        assert!(put(odd).contains("neither used nor revoked"));
    }
}

fn put_policy(name: &str) -> Command {
    Command::PutPolicy {
        account: AccountId::new("167").unwrap(),
        policy: Box::new(Policy::streaming(PolicyName::new(name).unwrap())),
        condition: PolicyCondition::Always,
    }
}

#[test]
fn an_account_has_so_many_policies_and_no_more_by_whatever_tool() {
    let keyring = Keyring::generate().unwrap();
    let full = applied((0..POLICIES_MAX).map(|number| put_policy(&format!("p{number}"))).collect());
    assert_eq!(
        refusal_at(&put_policy("one-more"), &full, &keyring),
        "the account has 1000 policies, as many as it may; delete one first"
    );
    assert_eq!(refusal_at(&put_policy("p7"), &full, &keyring), "", "it takes the place of one that is there");
    assert_eq!(refusal(&put_policy("p7")), "");
}

fn account(keyring: &Keyring, credentials: &[(&str, Scope, &[u8])]) -> Account {
    let id = AccountId::new("167").unwrap();
    let wrapped = credentials.iter().map(|(name, scope, key)| {
        let place = CredentialPlace { account: &id, name, scope: *scope };
        let secret = keyring.wrap_credential(&SecretBytes::new(key.to_vec()), place).unwrap();
        let (name, scheme) = ((*name).to_owned(), Scheme::UdrmSha1);
        Credential { name, scope: *scope, scheme, secret, created_at_ms: 0 }
    });
    let credentials = wrapped.collect();
    Account {
        id,
        ca_systems: Vec::new(),
        credentials,
        allow_list: Vec::new(),
        consistency: Consistency::default(),
        response_shape: ResponseShape::default(),
        license_url: None,
        created_at_ms: 0,
        minimum_scheme: None,
        allow_unsigned_packagers: false,
        playready_la_url: None,
    }
}

#[test]
fn an_account_that_cannot_be_used_is_not_added_or_declared() {
    let keyring = Keyring::generate().unwrap();
    let state = applied(Vec::new());
    let add = |account| refusal_at(&Command::PutAccount { account, if_absent: true }, &state, &keyring);
    let sound = account(&keyring, &[("a", Scope::Encryption, b"one"), ("b", Scope::Encryption, b"one")]);
    assert_eq!(add(sound.clone()), "");
    let url = Some("ftp://drm".to_owned());
    let said = add(Account { license_url: url, ..sound.clone() });
    assert_eq!(said, "account 167: license_url must start with https:// or http://");
    let twice = account(&keyring, &[("a", Scope::Encryption, b"one"), ("a", Scope::License, b"two")]);
    assert_eq!(add(twice), "account 167: credential `a` is there twice");
    let admin = account(&keyring, &[("a", Scope::Admin, b"one")]);
    let declared = Command::DeclareAccount {
        revision: 1,
        account: Box::new(admin),
        expires_at_ms: Vec::new(),
        sha1: None,
        documents: None,
    };
    let said = refusal_at(&declared, &state, &keyring);
    assert_eq!(
        said,
        "account 167: credential `a`: scope `admin` opens nothing; the scopes are encryption, license and policy"
    );
}

#[test]
fn a_change_leaves_an_account_that_can_be_used_whatever_it_had_before() {
    let keyring = Keyring::generate().unwrap();
    // Scope `admin` is of an account from before.
    let old = account(&keyring, &[("a", Scope::Encryption, b"one"), ("x", Scope::Admin, b"old")]);
    let state = applied(vec![Command::PutAccount { account: old, if_absent: true }]);
    let change = |change| {
        let id = AccountId::new("167").unwrap();
        refusal_at(&Command::ChangeAccount { id, change: Box::new(change) }, &state, &keyring)
    };
    let add = |name, scope, key: &[u8], expires_at_ms| {
        let credential = account(&keyring, &[(name, scope, key)]).credentials.remove(0);
        change(AccountChange::AddCredential { credential, expires_at_ms })
    };
    assert_eq!(add("b", Scope::Encryption, b"two", Some(NOW_MS + 1)), "");
    assert!(
        add("b", Scope::Encryption, b"two", Some(NOW_MS)).contains("use `keymoot account credential revoke`")
    );
    assert!(add("b", Scope::License, b"one", None).contains("`a` and `b` share one signing key"));
    assert!(add("b", Scope::Admin, b"two", None).contains("scope `admin` opens nothing"));
    let settings = |url: &str| {
        let license_url = Some(Some(url.to_owned()));
        change(AccountChange::Settings(Box::new(AccountSettings {
            license_url,
            ..AccountSettings::default()
        })))
    };
    assert_eq!(settings("https://drm.example"), "");
    assert!(settings("ftp://drm.example").contains("license_url must start with"));
    assert_eq!(change(AccountChange::RevokeCredential { name: "x".into() }), "");
}

#[test]
fn one_signing_key_opens_one_scope() {
    let keyring = Keyring::generate().unwrap();
    let state = applied(Vec::new());
    let shared =
        account(&keyring, &[("packager", Scope::Encryption, b"key"), ("player", Scope::License, b"key")]);
    let add = Command::PutAccount { account: shared, if_absent: true };
    let said = refusal_at(&add, &state, &keyring);
    assert!(said.contains("credentials `packager` and `player` share one signing key"), "{said}");
    assert_eq!(
        refusal_at(&add, &state, &Keyring::generate().unwrap()),
        "",
        "what does not open lets nobody in"
    );
}

#[test]
fn stored_signing_keys_that_can_be_guessed_are_named_and_longer_ones_are_not() {
    let keyring = Keyring::generate().unwrap();
    let keys: [(&str, Scope, &[u8]); 2] =
        [("old", Scope::Encryption, &[7; 15]), ("new", Scope::License, &[7; 16])];
    let old = account(&keyring, &keys);
    let state = applied(vec![Command::PutAccount { account: old, if_absent: true }]);
    let notices = crate::ops::account_notices::account_notices(&state.view).unwrap();
    let [notice] = notices.as_slice() else { panic!("{notices:?}") };
    assert!(notice.contains("old of 167") && !notice.contains("new of 167"), "{notice}");
    assert!(notice.contains("keymoot account credential add"), "{notice}");
}
