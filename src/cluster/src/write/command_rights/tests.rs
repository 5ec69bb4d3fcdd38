//! Who may ask for what, with and without a proof of the master key.

use std::collections::BTreeMap;

use super::*;
use keymoot_crypto::{ContentKey, DocumentSeed, random_kid};
use keymoot_model::{
    Account, AccountChange, AccountId, Consistency, ContentId, KeyOrigin, KeyPath, MasterKeyId, OperatorName,
    Policy, PolicyName, ResponseShape, TrackName, Wrapped,
};
use keymoot_state::{
    DOCUMENT_KEYS_MAX, NewDocument, NewDocumentKey, NewDocumentSeed, NodeFacts, PolicyCondition,
};

const PROVED: Result<(), ProofRefusal> = Ok(());
const UNABLE: Result<(), ProofRefusal> = Err(ProofRefusal::Unable);

fn account_id() -> AccountId {
    AccountId::new("a").unwrap()
}

fn put_account() -> Command {
    let account = Account {
        id: account_id(),
        ca_systems: Vec::new(),
        credentials: Vec::new(),
        allow_list: vec!["0.0.0.0/0".parse().unwrap()],
        consistency: Consistency::default(),
        response_shape: ResponseShape::default(),
        license_url: None,
        created_at_ms: 0,
        minimum_scheme: None,
        allow_unsigned_packagers: true,
        playready_la_url: None,
    };
    Command::PutAccount { account, if_absent: true }
}

fn create_key(keyring: &Keyring) -> Command {
    let place = KeyPath {
        account: account_id(),
        content: ContentId::new("c").unwrap(),
        track: TrackName::default_track(),
    };
    let (key, kid) = (ContentKey::generate().unwrap(), random_kid().unwrap());
    let key = keyring.wrap_content_key(&key, &place, 1, &kid).unwrap();
    Command::CreateKey(NewKey { place, version: 1, kid, key, origin: KeyOrigin::Generated })
}

fn note_document(keyring: &Keyring, id: u64) -> NewDocument {
    let account = account_id();
    let seed = DocumentSeed::generate().unwrap();
    let seed = keyring.wrap_document_seed(&seed, &account, 1).unwrap();
    let seed = Some(NewDocumentSeed { id, seed });
    let content = ContentId::new("c").unwrap();
    NewDocument { account, content, seed, keys: Vec::new(), answered: None }
}

fn put_policy(description: &str) -> Command {
    let policy =
        Policy { description: description.to_owned(), ..Policy::streaming(PolicyName::new("p").unwrap()) };
    Command::PutPolicy { account: account_id(), policy: Box::new(policy), condition: PolicyCondition::Always }
}

fn describe(id: NodeId, zone: &str) -> Command {
    Command::DescribeNode { id, facts: NodeFacts { zone: zone.to_owned(), ..NodeFacts::default() } }
}

fn revoke_operator() -> Command {
    let name = OperatorName::new("alice").unwrap();
    Command::ChangeOperators(Box::new(OperatorChange::Revoke { name }))
}

fn forward(
    keyring: &Keyring,
    proof: Result<(), ProofRefusal>,
    commands: Vec<Command>,
) -> Result<(), RightsError> {
    let proposal = Proposal { client: 1, serial: 1, floor: 1, now_ms: 1, commands };
    check_forwarded(&codec::encode(Kind::Entry, &proposal).unwrap(), 2, proof, keyring)
}

#[test]
fn without_a_proof_a_node_forwards_accounts_requests_and_nothing_that_operators_do() {
    let keyring = Keyring::generate().unwrap();
    let junk = Wrapped { master_key: MasterKeyId("mk1".into()), nonce: [0; 12], ciphertext: vec![0; 48] };
    assert!(forward(&keyring, UNABLE, vec![create_key(&keyring), put_policy("")]).is_ok());
    for (name, command) in BTreeMap::from([
        ("put-account", put_account()),
        ("delete-account", Command::DeleteAccount { id: account_id() }),
        ("declare-accounts", Command::DeclareAccounts { revision: 1, digest: [0; 32] }),
        ("revoke-join-token", Command::RevokeJoinToken { id: [0; 8] }),
        ("schedule-backups", Command::ScheduleBackups(None)),
        ("claim-backup", Command::ClaimBackup { node: 2, after: 0 }),
        (
            "reserve-wraps",
            Command::ReserveWraps { node: 2, master_key: MasterKeyId("mk1".to_owned()), count: 1 },
        ),
        ("raise-feature-level", Command::RaiseFeatureLevel { to: 2 }),
        ("remove-node", Command::RemoveNode { id: 3 }),
        ("revoke-operator", revoke_operator()),
        ("set-learner", Command::SetLearner { id: 3, learner: true }),
    ]) {
        // It hides behind one that is allowed.
        let said = forward(&keyring, UNABLE, vec![create_key(&keyring), command.clone()]).unwrap_err();
        assert!(said.to_string().contains(name) && matches!(said, RightsError::Proof { .. }), "{said}");
        assert!(forward(&keyring, PROVED, vec![command]).is_ok(), "{name}");
    }
    // Nor a secret that no holder of the master key wrapped.
    let stranger = Keyring::generate().unwrap();
    for command in [
        create_key(&stranger),
        Command::PutServerSecret { secret: junk.clone() },
        Command::FoundKidKey { key: junk },
    ] {
        let said = forward(&keyring, UNABLE, vec![command.clone()]).unwrap_err();
        assert!(matches!(said, RightsError::Content { .. }), "{said}");
        assert!(forward(&keyring, PROVED, vec![command]).is_ok());
    }
}

#[test]
fn whatever_was_proved_a_forwarded_proposal_is_whole_and_holds_what_nodes_make() {
    let keyring = Keyring::generate().unwrap();
    for proof in [PROVED, UNABLE] {
        assert!(check_forwarded(b"", 2, proof, &keyring).is_err());
        let mut torn = codec::encode(Kind::Entry, &(1_u64, 2_u64)).unwrap();
        torn.push(0);
        assert!(matches!(check_forwarded(&torn, 2, proof, &keyring), Err(RightsError::Form(_))));
        assert!(matches!(forward(&keyring, proof, Vec::new()), Err(RightsError::Count(0))));
        let Command::PutAccount { account, .. } = put_account() else { panic!("another command") };
        let overwrites = Command::PutAccount { account, if_absent: false };
        assert!(matches!(forward(&keyring, proof, vec![overwrites]), Err(RightsError::Right { .. })));
        assert!(forward(&keyring, proof, vec![describe(2, "west")]).is_ok());
        assert!(forward(&keyring, proof, vec![describe(3, "west")]).is_err(), "of another node");
        assert!(forward(&keyring, proof, vec![describe(2, &"w".repeat(2000))]).is_err());
        let long = put_policy(&"d".repeat(Policy::DESCRIPTION_BYTES_MAX + 1));
        assert!(matches!(forward(&keyring, proof, vec![long]), Err(RightsError::Content { .. })));
    }
}

#[test]
fn a_witness_forwards_what_it_is_itself_and_nothing_else() {
    let keyring = Keyring::generate().unwrap();
    let forward = |commands| {
        let proposal = Proposal { client: 1, serial: 1, floor: 1, now_ms: 1, commands };
        check_witness(&codec::encode(Kind::Entry, &proposal).unwrap(), 2)
    };
    let trust = |node| {
        let trust = keymoot_state::NodeTrust { node, trusted: Vec::new(), issuer: None };
        Command::NoteTrust(Box::new(trust))
    };
    assert!(forward(vec![describe(2, "west"), trust(2)]).is_ok());
    for command in [
        create_key(&keyring),
        put_policy(""),
        put_account(),
        revoke_operator(),
        describe(3, "west"),
        trust(1),
        Command::RegisterNodeKey { id: 2, digest: [0; 32] },
        Command::SetVerifiers(Vec::new()),
        Command::RemoveNode { id: 1 },
        Command::ClaimBackup { node: 2, after: 0 },
    ] {
        let said = forward(vec![describe(2, "west"), command]).unwrap_err();
        assert!(matches!(said, RightsError::Right { asker: "a witness", .. }), "{said}");
    }
    assert!(matches!(forward(Vec::new()), Err(RightsError::Count(0))));
    assert!(matches!(forward(vec![describe(2, &"w".repeat(2000))]), Err(RightsError::Content { .. })));
}

#[test]
fn a_tool_may_ask_for_what_the_command_line_makes() {
    let keyring = Keyring::generate().unwrap();
    let suspend = AccountChange::Suspend;
    for command in [
        put_account(),
        put_policy(""),
        Command::RaiseFeatureLevel { to: 2 },
        Command::DeleteAccount { id: account_id() },
        Command::ChangeAccount { id: account_id(), change: Box::new(suspend) },
        Command::DeclareAccounts { revision: 1, digest: [0; 32] },
    ] {
        assert!(check_tool(&command).is_ok(), "{command}");
    }
    for command in [
        create_key(&keyring),
        describe(2, ""),
        Command::RemoveNode { id: 2 },
        revoke_operator(),
        Command::SpendNonce { digest: [0; 16], created_s: 1 },
    ] {
        assert!(matches!(check_tool(&command), Err(RightsError::Right { .. })), "{command}");
    }
}

#[test]
fn a_documents_seed_opens_for_its_account_and_its_keys_are_bounded() {
    let keyring = Keyring::generate().unwrap();
    let note = |new: NewDocument| Command::NoteDocument(Box::new(new));
    assert!(forward(&keyring, UNABLE, vec![note(note_document(&keyring, 1))]).is_ok());
    let moved = forward(&keyring, UNABLE, vec![note(note_document(&keyring, 2))]);
    assert!(matches!(moved, Err(RightsError::Content { .. })), "wrapped for another number");
    let key = NewDocumentKey {
        kid: random_kid().unwrap(),
        kind: keymoot_model::KeyKind::Protected,
        tracks: Vec::new(),
        key_of: Vec::new(),
        iv: None,
        replaced_in: None,
    };
    let many = NewDocument { keys: vec![key; DOCUMENT_KEYS_MAX + 1], ..note_document(&keyring, 1) };
    assert!(matches!(forward(&keyring, PROVED, vec![note(many)]), Err(RightsError::Content { .. })));
    let rotate = Command::RotateDocuments { account: account_id(), content: ContentId::new("c").unwrap() };
    assert!(matches!(forward(&keyring, UNABLE, vec![rotate]), Err(RightsError::Proof { .. })));
}
