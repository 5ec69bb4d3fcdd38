//! The stored bytes of nodes and tokens, literally. See `bytes`.

use keymoot_codec::Kind;

use super::bytes::{body, command, wrapped};
use crate::*;

fn facts() -> NodeFacts {
    NodeFacts { zone: "z".into(), version: "v".into(), feature_level: 1 }
}

fn token() -> JoinTokenRecord {
    JoinTokenRecord {
        id: [5; 8],
        secret_digest: [6; 32],
        expires_at_ms: 9,
        learner: true,
        zone: Some("z".into()),
        revoked: false,
        spent: Some(TokenSpent { node: 4, key_digest: [7; 32] }),
    }
}

fn trust() -> NodeTrust {
    NodeTrust { node: 4, trusted: vec![[7; 32]], issuer: Some([8; 32]) }
}

const fn directory() -> EnrolledDirectory {
    EnrolledDirectory { fence: 3, incarnation: 300, start: 5, start_id: 6 }
}

#[test]
fn commands_about_nodes_have_these_bytes() {
    let admission = Admission {
        token: [5; 8],
        secret_digest: [6; 32],
        key_digest: [7; 32],
        id: Some(4),
        highest_id: 3,
        facts: facts(),
    };
    let authority = AuthorityRecord { certificate_pem: "p".into(), key: wrapped() };
    let verifier = keymoot_model::MasterKeyVerifier {
        master_key: keymoot_model::MasterKeyId("m".into()),
        public_key: [9; 32],
    };
    let found = [
        command(Command::DescribeNode { id: 4, facts: facts() }),
        command(Command::AdmitNode(Box::new(admission.clone()))),
        command(Command::SetLearner { id: 4, learner: true }),
        command(Command::RemoveNode { id: 4 }),
        command(Command::PutJoinToken(Box::new(token()))),
        command(Command::RevokeJoinToken { id: [5; 8] }),
        command(Command::PutAuthority(Box::new(authority.clone()))),
        command(Command::RaiseFeatureLevel { to: 2 }),
        command(Command::EnrollDirectory { id: 4, directory: directory() }),
        command(Command::RegisterNodeKey { id: 4, digest: [7; 32] }),
        command(Command::RevokeCertificate { id: 4 }),
        command(Command::BeginAuthorityChange(Box::new(authority))),
        command(Command::AdoptAuthority),
        command(Command::RetireAuthority),
        command(Command::NoteTrust(Box::new(trust()))),
        command(Command::CancelAuthorityChange),
        command(Command::PutWitnessToken(Box::new(token()))),
        command(Command::AdmitWitness(Box::new(admission))),
        command(Command::SetVerifiers(vec![verifier])),
    ];
    assert_eq!(found, GOLDEN_COMMANDS);
}

#[test]
fn answers_and_records_of_nodes_have_these_bytes() {
    let other = AuthorityRecord { certificate_pem: "p".into(), key: wrapped() };
    let change = AuthorityChange { other, adopted: true, adopted_at_ms: Some(6) };
    let key = NodeKeyRecord {
        node: 4,
        digest: [7; 32],
        registered_at_ms: 8,
        revoked_at_ms: Some(9),
        witness: true,
    };
    let node = NodeRecord { id: 4, facts: facts(), learner: true, admitted_at_ms: 8, removed_at_ms: Some(9) };
    let found = [
        body(Kind::Record, &Response::Admitted { id: 4, learner: true }),
        body(Kind::Record, &Response::TokenRefused(TokenRefusal::Unknown)),
        body(Kind::Record, &Response::TokenRefused(TokenRefusal::Expired)),
        body(Kind::Record, &Response::TokenRefused(TokenRefusal::Revoked)),
        body(Kind::Record, &Response::TokenRefused(TokenRefusal::Spent)),
        body(Kind::Record, &Response::NodeIdTaken { next: 5 }),
        body(Kind::Record, &Response::NodeRemoved),
        body(Kind::Record, &Response::NoNode),
        body(Kind::Record, &Response::LevelUnknownTo { node: 4, level: 1 }),
        body(Kind::Record, &Response::OtherDirectory),
        body(Kind::Record, &Response::CertificateRevoked),
        body(Kind::Record, &directory()),
        body(Kind::Record, &key),
        body(Kind::Record, &trust()),
        body(Kind::Record, &change),
        body(Kind::Record, &node),
        body(Kind::Record, &token()),
    ];
    assert_eq!(found, GOLDEN_RECORDS);
}

const GOLDEN_COMMANDS: [&str; 19] = [
    "05040302011604017a017601",
    "050403020117050505050505050506060606060606060606060606060606060606060606060606060606060606060707070707070707070707070707070707070707070707070707070707070707010403017a017601",
    "0504030201180401",
    "05040302011904",
    "05040302011a05050505050505050606060606060606060606060606060606060606060606060606060606060606090101017a0001040707070707070707070707070707070707070707070707070707070707070707",
    "05040302011b0505050505050505",
    "05040302011c0170016d01010101010101010101010103020202",
    "05040302011d02",
    "05040302011e0403fb2c010506",
    "050403020126040707070707070707070707070707070707070707070707070707070707070707",
    "05040302012704",
    "0504030201280170016d01010101010101010101010103020202",
    "050403020129",
    "05040302012a",
    "05040302012b04010707070707070707070707070707070707070707070707070707070707070707010808080808080808080808080808080808080808080808080808080808080808",
    "05040302012d",
    "05040302013005050505050505050606060606060606060606060606060606060606060606060606060606060606090101017a0001040707070707070707070707070707070707070707070707070707070707070707",
    "050403020131050505050505050506060606060606060606060606060606060606060606060606060606060606060707070707070707070707070707070707070707070707070707070707070707010403017a017601",
    "05040302013201016d0909090909090909090909090909090909090909090909090909090909090909",
];

const GOLDEN_RECORDS: [&str; 17] = [
    "120401",
    "1300",
    "1301",
    "1302",
    "1303",
    "1405",
    "15",
    "16",
    "170401",
    "18",
    "1a",
    "03fb2c010506",
    "04070707070707070707070707070707070707070707070707070707070707070708010901",
    "04010707070707070707070707070707070707070707070707070707070707070707010808080808080808080808080808080808080808080808080808080808080808",
    "0170016d01010101010101010101010103020202010106",
    "04017a01760101080109",
    "05050505050505050606060606060606060606060606060606060606060606060606060606060606090101017a0001040707070707070707070707070707070707070707070707070707070707070707",
];
