//! A recorded history, with the digests that earlier builds had while they applied it.
//!
//! Members of a cluster compare digests, and the one that differs stops: a build that applied an entry in
//! another way than the last one would stop itself in every upgrade. A change of what applying does waits for
//! the next feature level, and leaves the digests of the levels before it as they are here. The digests of a
//! level may change only until it is released.

use keymoot_model::{Auxiliary, KeyPath, Period, Policy, ViewerPlace};

use super::apply::{Memory, new_key, place};
use super::histories::{account, identity, policy_name};
use super::rotation::new_seed;
use crate::*;

const PROPOSALS: u64 = 600;
const EVERY: u64 = 150;

/// The digests after each 150 proposals, at each feature level.
const DIGESTS: [(u32, [&str; 4]); 4] = [
    (
        1,
        [
            "0cdb590af1d3810ec94c87a65f909e69",
            "fa29092b0f9eed9b4fb6464af623cb8a",
            "d6fe29ddf6ec822311d9c7785944089b",
            "26d26b010b7c8449c12110ac3465b5dc",
        ],
    ),
    (
        2,
        [
            "050073d9db0d169b325aa21bcbccdda1",
            "42ed3b2482f103ba78298211f841f745",
            "1b3d0ca09cf8af4a42ef62ea43a9b748",
            "200d7a78d8bf23d5dbd59c910e6bc56d",
        ],
    ),
    (
        3,
        [
            "3691fdec132cc0c457383c7ef2b90857",
            "747ec536bb10ade39d071c751f2e21fb",
            "4cce96b2d518597367ccfd4d6a95e1fe",
            "519f048b10decdff00b336f43557f023",
        ],
    ),
    (
        4,
        [
            "3962dc5b044e2fbfc29ab181ddf55db3",
            "fef544780aaba00a4f220f33bdcbe8fa",
            "91b333fc64e3ad0467bc57919e68fe08",
            "16ef5638c5b54c2d2a138483cae27dd2",
        ],
    ),
];

/// Numbers that are the same for ever, whatever the libraries do.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn byte(&mut self, end: u8) -> u8 {
        self.below(end.into()) as u8
    }

    fn version(&mut self) -> u32 {
        self.below(6) as u32
    }
}

fn viewer(numbers: &mut Numbers) -> ViewerPlace {
    let KeyPath { account, content, .. } = place(numbers.byte(3));
    ViewerPlace { account, content, viewer: [numbers.byte(4); 16] }
}

fn key(numbers: &mut Numbers) -> NewKey {
    new_key(numbers.byte(6), numbers.version(), numbers.byte(200))
}

fn condition(numbers: &mut Numbers) -> PolicyCondition {
    match numbers.below(4) {
        0 => PolicyCondition::Always,
        1 => PolicyCondition::IfAbsent,
        2 => PolicyCondition::IfPresent,
        _ => PolicyCondition::IfVersion(numbers.below(4)),
    }
}

fn facts(numbers: &mut Numbers) -> NodeFacts {
    NodeFacts { zone: format!("zone-{}", numbers.below(3)), version: "0.1.0".into(), feature_level: 3 }
}

fn token(numbers: &mut Numbers) -> JoinTokenRecord {
    let number = numbers.byte(5);
    JoinTokenRecord {
        id: [number; 8],
        secret_digest: [number; 32],
        expires_at_ms: 2_000_000,
        learner: number.is_multiple_of(2),
        zone: None,
        revoked: false,
        spent: None,
    }
}

fn admission(numbers: &mut Numbers) -> Admission {
    let token = numbers.byte(5);
    Admission {
        token: [token; 8],
        secret_digest: [token; 32],
        key_digest: [numbers.byte(3); 32],
        id: None,
        highest_id: numbers.below(9),
        facts: facts(numbers),
    }
}

fn key_command(numbers: &mut Numbers) -> Command {
    let period = Period { length_s: 10 * numbers.version(), index: numbers.version() };
    match numbers.below(8) {
        0 | 1 => Command::CreateKey(key(numbers)),
        2 => Command::ReplaceKey(key(numbers)),
        3 => {
            let kid = (numbers.below(2) == 0).then(|| key(numbers).kid);
            Command::DeleteKey { place: place(numbers.byte(6)), through: numbers.version(), kid }
        }
        4 => Command::CreateSeed(new_seed(numbers.byte(4), numbers.version(), 10 * numbers.version())),
        5 => Command::ReplaceSeed(new_seed(numbers.byte(4), numbers.version(), 10 * numbers.version())),
        6 => Command::SupplyPeriodKey { key: key(numbers), period },
        _ => Command::FoundKidKey { key: key(numbers).key },
    }
}

fn policy_command(numbers: &mut Numbers) -> Command {
    let KeyPath { account, content, .. } = place(numbers.byte(4));
    let name = policy_name(numbers.byte(3));
    let if_absent = numbers.below(2) == 0;
    match numbers.below(5) {
        0 => {
            let policy = Policy { description: format!("{}", numbers.below(99)), ..Policy::streaming(name) };
            Command::PutPolicy { account, policy: Box::new(policy), condition: condition(numbers) }
        }
        1 => Command::DeletePolicy { account, name, condition: condition(numbers) },
        2 => Command::AttachPolicy { account, content, policy: Some(name), if_absent },
        3 => Command::SetDefaultPolicy { account, policy: if_absent.then_some(name) },
        _ => {
            let super_cas_id = Some(numbers.version());
            let auxiliary = if_absent.then(|| Auxiliary { super_cas_id, ..Auxiliary::default() });
            Command::PutAuxiliary { account, content, auxiliary, if_absent: numbers.below(2) == 0 }
        }
    }
}

fn viewing_command(numbers: &mut Numbers) -> Command {
    let device = [numbers.byte(5); 16];
    match numbers.below(5) {
        0 | 1 => {
            let (duration_s, slots) = (1 + numbers.version(), 1 + numbers.below(3) as u16);
            Command::ClaimLease { place: viewer(numbers), device, duration_s, slots }
        }
        2 => Command::ReleaseLease { place: viewer(numbers), device },
        3 => Command::BeginRental { place: viewer(numbers) },
        _ => Command::EndRental { place: viewer(numbers) },
    }
}

fn cluster_command(numbers: &mut Numbers) -> Command {
    let id = 1 + numbers.below(6);
    match numbers.below(11) {
        0 | 1 => Command::PutAccount { account: account(numbers.byte(5)), if_absent: numbers.below(2) == 0 },
        2 => Command::DeleteAccount { id: account(numbers.byte(5)).id },
        3 => Command::SpendNonce { digest: [numbers.byte(9); 16], created_s: 1000 + numbers.below(900) },
        4 => Command::PutServerSecret { secret: key(numbers).key },
        5 => Command::DescribeNode { id, facts: facts(numbers) },
        6 => Command::AdmitNode(Box::new(admission(numbers))),
        7 => Command::SetLearner { id, learner: numbers.below(2) == 0 },
        8 => Command::RemoveNode { id },
        9 => Command::PutJoinToken(Box::new(token(numbers))),
        _ => Command::RevokeJoinToken { id: [numbers.byte(5); 8] },
    }
}

/// The history at a feature level. Clients come and go, and some proposals come twice.
pub(crate) fn recorded_history(level: u32) -> Vec<Proposal> {
    let mut numbers = Numbers(0x6b65_796d_6f6f_7421);
    let mut serials = std::collections::BTreeMap::new();
    let found = Command::Found(identity(0, level));
    let mut log = vec![Proposal { client: 1 << 40, serial: 1, floor: 1, now_ms: 1, commands: vec![found] }];
    for step in 1..PROPOSALS {
        if step.is_multiple_of(17) {
            log.push(log[step as usize - 1].clone());
            continue;
        }
        let client = step / 40 + numbers.below(3);
        let serial = serials.entry(client).and_modify(|serial| *serial += 1).or_insert(1_u64);
        let floor = serial.saturating_sub(numbers.below(4)).max(1);
        let mut commands = Vec::new();
        for _ in 0..1 + numbers.below(3) {
            commands.push(match numbers.below(8) {
                0..=2 => key_command(&mut numbers),
                3 | 4 => policy_command(&mut numbers),
                5 => viewing_command(&mut numbers),
                _ => cluster_command(&mut numbers),
            });
        }
        let now_ms = 1_000_000 + 1500 * step + numbers.below(4000);
        log.push(Proposal { client, serial: *serial, floor, now_ms, commands });
    }
    log
}

fn digests(level: u32) -> Vec<String> {
    let mut memory = Memory::default();
    let log = recorded_history(level);
    let parts = log.chunks(EVERY as usize).map(|part| {
        memory.run(part);
        digest(&memory).unwrap().to_string()
    });
    parts.collect()
}

#[test]
fn a_recorded_history_has_the_digests_that_earlier_builds_had() {
    let now = DIGESTS.map(|(level, _)| (level, digests(level)));
    let recorded = DIGESTS.map(|(level, digests)| (level, digests.map(str::to_owned).to_vec()));
    assert_eq!(now, recorded, "nodes of this build and of the last one would stop each other");
}

#[test]
fn every_kind_of_record_has_a_name_and_none_shows_a_secret() {
    let mut memory = Memory::default();
    memory.run(&recorded_history(FEATURE_LEVEL));
    let put = Command::PutAccount { account: account(9), if_absent: false };
    memory.run(&[Proposal { client: 1 << 41, serial: 1, floor: 1, now_ms: 9_000_000, commands: vec![put] }]);
    let mut kinds = std::collections::BTreeSet::new();
    for (table, key, value) in memory.records() {
        if let Some(name) = record_name(table, key, value).unwrap() {
            assert!(name.to_string().starts_with(name.kind), "{name}");
            kinds.insert(name.kind);
        }
    }
    let expected = [
        "account",
        "attached policy",
        "auxiliary data",
        "identity of the cluster",
        "join token",
        "key",
        "key of derived key ids",
        "node",
        "policy",
        "secret of the servers",
        "seed of a rotating track",
        "start of a rental",
    ];
    for kind in expected {
        assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
    }
}
