//! The bytes of every command, response and record, literally: existing logs stay readable.
//!
//! A change here changes the format on disk. Only add lines: an old line that no longer holds means that a
//! node could not read its own log.

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_model::{
    Account, AccountId, Auxiliary, Consistency, ContentId, Credential, KeyOrigin, KeyPath, KeyRecord, Kid,
    MasterKeyId, Period, Policy, PolicyName, PolicyRecord, Rating, ResponseShape, Scheme, Scope, SeedId,
    SeedRecord, SystemHeader, TrackName, ViewerPlace, Wrapped,
};

use crate::record::{Answers, ContentNumber, KidRecord, LeaseSlot, Leases, PolicyEntry, Session, Track};
use crate::{ClusterIdentity, Command, NewKey, NewSeed, PolicyCondition, Proposal, Response, SecretPlace};

pub(super) fn wrapped() -> Wrapped {
    Wrapped { master_key: MasterKeyId("m".into()), nonce: [1; 12], ciphertext: vec![2; 3] }
}

fn place() -> KeyPath {
    KeyPath {
        account: AccountId::new("a").unwrap(),
        content: ContentId::new("c").unwrap(),
        track: TrackName::new("T").unwrap(),
    }
}

fn new_key(origin: KeyOrigin) -> NewKey {
    NewKey { place: place(), version: 7, kid: Kid::from_bytes([3; 16]), key: wrapped(), origin }
}

fn record() -> KeyRecord {
    KeyRecord {
        place: place(),
        version: 7,
        kid: Kid::from_bytes([3; 16]),
        key: wrapped(),
        origin: KeyOrigin::Generated,
        created_at_ms: 9,
        period: None,
    }
}

fn account() -> Account {
    Account {
        id: AccountId::new("a").unwrap(),
        ca_systems: vec!["ott".into()],
        credentials: vec![Credential {
            name: "n".into(),
            scope: Scope::License,
            scheme: Scheme::UdrmSha1,
            secret: wrapped(),
            created_at_ms: 9,
        }],
        allow_list: vec!["10.0.0.0/8".parse().unwrap()],
        consistency: Consistency::Local,
        response_shape: ResponseShape::Array,
        license_url: Some("u".into()),
        created_at_ms: 9,
        minimum_scheme: Some(Scheme::HttpEd25519),
        allow_unsigned_packagers: false,
        playready_la_url: None,
    }
}

fn seed() -> SeedRecord {
    SeedRecord {
        place: place(),
        id: SeedId { content: 4, version: 7, track: 1 },
        length_s: 10,
        seed: wrapped(),
        created_at_ms: 9,
    }
}

fn put_auxiliary() -> Command {
    let auxiliary = Auxiliary {
        ratings: vec![Rating { scheme: "s".into(), value: "v".into() }],
        output_protection: [("h".to_owned(), "2".to_owned())].into(),
        super_cas_id: Some(7),
        system_headers: vec![SystemHeader { system: [4; 16], data: vec![9] }],
    };
    let KeyPath { account, content, .. } = place();
    Command::PutAuxiliary { account, content, auxiliary: Some(auxiliary), if_absent: true }
}

/// A policy that uses every member.
const POLICY: &str = r#"{
    "name": "p", "description": "d", "can_persist": true, "license_duration_seconds": 1,
    "rental_duration_seconds": 2, "playback_duration_seconds": 3,
    "renewal": {"url": "https://r", "delay_seconds": 4, "retry_interval_seconds": 5,
                "recovery_duration_seconds": 6, "with_usage": true},
    "protection": {
        "widevine": {"security_level": 3, "hdcp": "v1", "cgms_a": "copy_once", "aps": "type2", "cit": true,
                     "disable_analog_output": false},
        "playready": {"minimum_security_level": 2000, "compressed_digital_audio": 150,
                      "uncompressed_digital_audio": 300, "compressed_digital_video": 500,
                      "uncompressed_digital_video": 270, "analog_television": 200},
        "fairplay": {"hdcp": "type0"}, "clear_key": {"allow": false}},
    "tracks": {"T": {"widevine": {"hdcp": "v2.2"}}}
}"#;

fn policy() -> Policy {
    Policy::from_json(POLICY.as_bytes(), None).unwrap()
}

fn leased_policy() -> Policy {
    Policy::from_json(br#"{"name":"p","lease":{"duration_seconds":300,"slots":2}}"#, None).unwrap()
}

fn policy_record() -> PolicyRecord {
    PolicyRecord { policy: leased_policy(), version: 7, changed_at_ms: 9 }
}

fn viewer() -> ViewerPlace {
    let KeyPath { account, content, .. } = place();
    ViewerPlace { account, content, viewer: [5; 16] }
}

/// The commands of policies, leases and rentals.
fn policy_commands() -> [Command; 9] {
    let KeyPath { account, content, .. } = place();
    let name = PolicyName::new("p").unwrap();
    let put = |policy, condition| Command::PutPolicy {
        account: account.clone(),
        policy: Box::new(policy),
        condition,
    };
    [
        put(policy(), PolicyCondition::IfVersion(7)),
        put(leased_policy(), PolicyCondition::IfAbsent),
        Command::DeletePolicy {
            account: account.clone(),
            name: name.clone(),
            condition: PolicyCondition::Always,
        },
        Command::AttachPolicy {
            account: account.clone(),
            content,
            policy: Some(name.clone()),
            if_absent: true,
        },
        Command::SetDefaultPolicy { account: account.clone(), policy: Some(name) },
        Command::ClaimLease { place: viewer(), device: [6; 16], duration_s: 300, slots: 2 },
        Command::ReleaseLease { place: viewer(), device: [6; 16] },
        Command::BeginRental { place: viewer() },
        Command::EndRental { place: viewer() },
    ]
}

#[test]
fn a_policy_reads_back_from_its_bytes() {
    for policy in [policy(), leased_policy()] {
        let bytes = codec::encode(Kind::Record, &policy).unwrap();
        assert_eq!(codec::decode::<Policy>(Kind::Record, &bytes).unwrap(), policy);
    }
}

/// The body behind the envelope, in hexadecimal. The envelope has goldens of its own.
pub(super) fn body<T: serde::Serialize>(kind: Kind, value: &T) -> String {
    let bytes = codec::encode(kind, value).unwrap();
    base16ct::lower::encode_string(&bytes[codec::HEADER_BYTES..])
}

pub(super) fn command(command: Command) -> String {
    let proposal = Proposal { client: 5, serial: 4, floor: 3, now_ms: 2, commands: vec![command] };
    body(Kind::Entry, &proposal)
}

#[test]
fn commands_have_these_bytes() {
    let identity = ClusterIdentity { cluster: "x".into(), keyring_check: wrapped(), feature_level: 1 };
    let new_seed = NewSeed { place: place(), version: 7, length_s: 10, seed: wrapped() };
    let period = Period { length_s: 10, index: 6 };
    let found = [
        command(Command::CreateKey(new_key(KeyOrigin::Generated))),
        command(Command::ReplaceKey(new_key(KeyOrigin::Supplied))),
        command(Command::DeleteKey { place: place(), through: 7, kid: Some(Kid::from_bytes([3; 16])) }),
        command(Command::PutAccount { account: account(), if_absent: true }),
        command(Command::DeleteAccount { id: AccountId::new("a").unwrap() }),
        command(Command::Found(identity)),
        command(Command::SpendNonce { digest: [6; 16], created_s: 7 }),
        command(Command::PutServerSecret { secret: wrapped() }),
        command(Command::CreateSeed(new_seed.clone())),
        command(Command::ReplaceSeed(new_seed)),
        command(Command::SupplyPeriodKey { key: new_key(KeyOrigin::Supplied), period }),
        command(Command::FoundKidKey { key: wrapped() }),
        command(put_auxiliary()),
    ];
    assert_eq!(found, GOLDEN_COMMANDS);
}

#[test]
fn responses_and_records_have_these_bytes() {
    let found = [
        body(Kind::Record, &Response::Stored),
        body(Kind::Record, &Response::Existing(Box::new(record()))),
        body(Kind::Record, &Response::VersionMoved { next: 8 }),
        body(Kind::Record, &Response::KidTaken(Box::new(record()))),
        body(Kind::Record, &Response::Deleted { versions: 2 }),
        body(Kind::Record, &Response::Done),
        body(Kind::Record, &Response::Unchanged),
        body(Kind::Record, &Response::AnsweredBefore),
        body(Kind::Record, &Track { next_version: 8, current: Some(record()), number: None }),
        body(Kind::Record, &KidRecord { place: place(), version: 7 }),
        body(Kind::Record, &Session { floor: 3, seen: 2 }),
        body(Kind::Record, &Answers { responses: vec![Response::Stored] }),
        body(Kind::Record, &Response::Seed(Box::new(seed()))),
        body(Kind::Record, &Response::KidKey(wrapped())),
        body(Kind::Record, &Response::NumbersExhausted),
        body(Kind::Record, &KeyRecord { period: Some(Period { length_s: 10, index: 6 }), ..record() }),
        body(Kind::Record, &Track { next_version: 8, current: None, number: Some(1) }),
        body(Kind::Record, &ContentNumber { number: 4, next_track: 2 }),
    ];
    assert_eq!(found, GOLDEN_RECORDS);
}

#[test]
fn commands_about_master_keys_have_these_bytes() {
    let rewrap = |place| Command::Rewrap { place, old: wrapped(), new: wrapped() };
    let credential = SecretPlace::Credential {
        account: AccountId::new("a").unwrap(),
        name: "n".into(),
        scope: Scope::License,
    };
    let found = [
        SecretPlace::ContentKey { place: place(), version: 7 },
        SecretPlace::Seed(seed().id),
        credential,
        SecretPlace::ServerSecret,
        SecretPlace::KidKey,
        SecretPlace::Check,
        SecretPlace::Authority,
    ]
    .map(|place| command(rewrap(place)));
    assert_eq!(found, GOLDEN_REWRAP_COMMANDS);
}

const GOLDEN_REWRAP_COMMANDS: [&str; 7] = [
    "0504030201150001610163015407016d01010101010101010101010103020202016d01010101010101010101010103020202",
    "05040302011501040701016d01010101010101010101010103020202016d01010101010101010101010103020202",
    "050403020115020161016e01016d01010101010101010101010103020202016d01010101010101010101010103020202",
    "05040302011503016d01010101010101010101010103020202016d01010101010101010101010103020202",
    "05040302011504016d01010101010101010101010103020202016d01010101010101010101010103020202",
    "05040302011505016d01010101010101010101010103020202016d01010101010101010101010103020202",
    "05040302011506016d01010101010101010101010103020202016d01010101010101010101010103020202",
];

#[test]
fn what_is_stored_of_policies_and_viewers_has_these_bytes() {
    assert_eq!(policy_commands().map(command), GOLDEN_POLICY_COMMANDS);
    let found = [
        body(Kind::Record, &Response::Policy(Box::new(policy_record()))),
        body(Kind::Record, &Response::NoPolicy),
        body(Kind::Record, &Response::PolicyMoved { version: Some(7) }),
        body(Kind::Record, &Response::PolicyInUse { contents: 3, is_default: true }),
        body(Kind::Record, &Response::Leased { until_ms: 9 }),
        body(Kind::Record, &Response::LeasesTaken { frees_at_ms: 9 }),
        body(Kind::Record, &Response::Rental { began_at_ms: 9 }),
        body(Kind::Record, &PolicyEntry { next_version: 8, current: None }),
        body(
            Kind::Record,
            &Leases { slots: vec![LeaseSlot { device: [6; 16], until_ms: 9000 }], filed_s: 9 },
        ),
    ];
    assert_eq!(found, GOLDEN_POLICY_RECORDS);
}

const GOLDEN_COMMANDS: [&str; 13] = [
    "0504030201000161016301540703030303030303030303030303030303016d0101010101010101010101010302020200",
    "0504030201010161016301540703030303030303030303030303030303016d0101010101010101010101010302020201",
    "050403020102016101630154070103030303030303030303030303030303",
    "050403020103016101036f747401016e0100016d010101010101010101010101030202020901000a000000080102010175090102000001",
    "0504030201040161",
    "0504030201050178016d0101010101010101010101010302020201",
    "0504030201060606060606060606060606060606060607",
    "050403020107016d01010101010101010101010103020202",
    "050403020108016101630154070a016d01010101010101010101010103020202",
    "050403020109016101630154070a016d01010101010101010101010103020202",
    "05040302010a0161016301540703030303030303030303030303030303016d01010101010101010101010103020202010a06",
    "05040302010b016d01010101010101010101010103020202",
    "05040302010c01610163010101730176010168013201070104040404040404040404040404040404010901",
];

const GOLDEN_RECORDS: [&str; 18] = [
    "00",
    "010161016301540703030303030303030303030303030303016d01010101010101010101010103020202000900",
    "0208",
    "030161016301540703030303030303030303030303030303016d01010101010101010101010103020202000900",
    "0402",
    "05",
    "06",
    "07",
    "08010161016301540703030303030303030303030303030303016d0101010101010101010101010302020200090000",
    "01610163015407",
    "0302",
    "0100",
    "080161016301540407010a016d0101010101010101010101010302020209",
    "09016d01010101010101010101010103020202",
    "0a",
    "0161016301540703030303030303030303030303030303016d010101010101010101010101030202020009010a06",
    "08000101",
    "0402",
];

const GOLDEN_POLICY_COMMANDS: [&str; 9] = [
    "05040302010d0161017001640101010102010301010968747470733a2f2f72010401050106010001030101010201020101010001fbd007019601fb2c0101fbf40101fb0e0101c8010101000101540001040000000000000000000000000307",
    "05040302010d0161017000000000000001fb2c010200000000000000000000000000000001",
    "05040302010e0161017000",
    "05040302010f0161016301017001",
    "0504030201100161010170",
    "050403020111016101630505050505050505050505050505050506060606060606060606060606060606fb2c0102",
    "050403020112016101630505050505050505050505050505050506060606060606060606060606060606",
    "0504030201130161016305050505050505050505050505050505",
    "0504030201140161016305050505050505050505050505050505",
];

const GOLDEN_POLICY_RECORDS: [&str; 9] = [
    "0b017000000000000001fb2c01020000000000000000000000000000000709",
    "0c",
    "0d0107",
    "0e0301",
    "0f09",
    "1009",
    "1109",
    "0800",
    "0106060606060606060606060606060606fb282309",
];
