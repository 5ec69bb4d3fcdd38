//! The bytes of every command, response and record, literally: what is in a log stays readable.
//!
//! A change here is a change of what is on disk. Only ever add; an old line that no longer holds
//! means that a node could not read its own log.

use std::fmt::Write as _;

use crate::codec::{self, Kind};
use crate::model::{
    Account, AccountId, Auxiliary, Consistency, ContentId, Credential, KeyOrigin, KeyPlace, KeyRecord, Kid,
    MasterKeyId, Period, Rating, ResponseShape, Scheme, Scope, SeedId, SeedRecord, SystemHeader, TrackName,
    Wrapped,
};

use super::record::{Answers, ContentNumber, KidPlace, Session, Track};
use super::{ClusterIdentity, Command, NewKey, NewSeed, Proposal, Response};

fn wrapped() -> Wrapped {
    Wrapped { master_key: MasterKeyId("m".into()), nonce: [1; 12], ciphertext: vec![2; 3] }
}

fn place() -> KeyPlace {
    KeyPlace {
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
    let KeyPlace { account, content, .. } = place();
    Command::PutAuxiliary { account, content, auxiliary: Some(auxiliary), if_absent: true }
}

/// The body behind the envelope, in hexadecimal. The envelope has goldens of its own.
fn body<T: serde::Serialize>(kind: Kind, value: &T) -> String {
    let bytes = codec::encode(kind, value).unwrap();
    bytes[codec::HEADER_BYTES..].iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn command(command: Command) -> String {
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
        body(Kind::Record, &KidPlace { place: place(), version: 7 }),
        body(Kind::Record, &Session { floor: 3, seen_at_ms: 2 }),
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
