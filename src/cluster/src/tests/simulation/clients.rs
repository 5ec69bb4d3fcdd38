//! Clients: they write and read registers and policies at any node, as the services would, and
//! record the answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use keymoot_model::{
    AccountId, ContentId, KeyOrigin, KeyPath, Kid, MasterKeyId, Policy, PolicyName, TrackName, Wrapped,
};
use keymoot_state as state;
use keymoot_state::{Command, NewKey, PolicyCondition, Response};

use super::fate::Fate;
use super::history::{Answer, Asked, History};
use super::world::World;
use crate::cluster::Cluster;
use crate::error::ClusterError;

/// The number of registers in use at the same time.
const REGISTERS: u64 = 3;
/// After this time other registers are used, so that no history grows long.
const REGISTERS_LAST: Duration = Duration::from_secs(6);

/// The state that all clients of a run share.
pub(crate) struct Clients {
    pub world: Arc<World>,
    pub history: Mutex<History>,
    /// Violations that were found during the run.
    pub broken: Mutex<Vec<String>>,
    /// The policies, with the number of acknowledged changes of each.
    pub policies: Mutex<Vec<(PolicyName, u64)>>,
    pub reads_locally: bool,
    pub began: Instant,
    next_value: Mutex<u64>,
}

/// Proposes one command.
async fn propose(node: &Cluster, command: Command) -> Result<Response, ClusterError> {
    let response = node.propose(vec![command]).await?.responses.pop();
    response.ok_or_else(|| ClusterError::Protocol("no answer to a command".into()))
}

impl Clients {
    pub(crate) fn new(world: Arc<World>, reads_locally: bool) -> Self {
        Self {
            world,
            history: Mutex::default(),
            broken: Mutex::default(),
            policies: Mutex::default(),
            reads_locally,
            began: Instant::now(),
            next_value: Mutex::new(1),
        }
    }

    /// The loop of one client.
    pub(crate) async fn run(self: Arc<Self>, number: usize, mut fate: Fate, until: Instant) {
        let mut policy = 0;
        let mut changes = 0;
        while Instant::now() < until {
            sleep(Duration::from_millis(fate.between(0, 150))).await;
            let nodes = self.world.clusters();
            if nodes.is_empty() {
                continue;
            }
            let node = fate.one_of(&nodes).clone();
            if fate.happens(200) {
                let name = PolicyName::new(format!("policy-{number}-{policy}")).unwrap();
                match self.change_policy(&node, &name, changes).await {
                    Some(now) => changes = now,
                    None => (policy, changes) = (policy + 1, 0),
                }
                continue;
            }
            let register = self.register(&mut fate);
            match fate.between(0, 9) {
                0..5 => self.read(&node, &register).await,
                5..7 => self.create(&node, &register).await,
                7..9 => self.replace(&node, &register).await,
                _ => self.delete(&node, &register).await,
            }
        }
    }

    fn register(&self, fate: &mut Fate) -> String {
        let era = self.began.elapsed().as_secs() / REGISTERS_LAST.as_secs();
        format!("register-{era}-{}", fate.between(1, REGISTERS))
    }

    /// A linearizable read, which must see every acknowledged write.
    pub(crate) async fn read(&self, node: &Cluster, register: &str) {
        let began = self.history.lock().unwrap().tick();
        let fresh = match self.reads_locally {
            true => Ok(()),
            false => node.read_barrier().await,
        };
        let answer = match fresh {
            Ok(()) => {
                let record = state::current_key(node.state(), &place(register)).unwrap();
                Answer::Value(record.map(|record| value_of(&record.kid)))
            }
            Err(_) => Answer::Unknown,
        };
        self.history.lock().unwrap().end(register, Asked::Read, began, answer);
    }

    /// Writes if the register is empty; returns whether there was an answer.
    pub(crate) async fn create(&self, node: &Cluster, register: &str) {
        let value = self.new_value();
        let began = self.history.lock().unwrap().tick();
        let answer = match self.propose_key(node, register, value, Command::CreateKey).await {
            Ok(Response::Stored) => Answer::Value(Some(value)),
            Ok(Response::Existing(record)) if value_of(&record.kid) == value => {
                self.breaks(format!("applied once: the creation of {value} met its own key"));
                Answer::Value(Some(value))
            }
            Ok(Response::Existing(record)) => Answer::Value(Some(value_of(&record.kid))),
            other => self.unknown(other),
        };
        self.history.lock().unwrap().end(register, Asked::Create(value), began, answer);
    }

    async fn replace(&self, node: &Cluster, register: &str) {
        let value = self.new_value();
        let began = self.history.lock().unwrap().tick();
        let answer = match self.propose_key(node, register, value, Command::ReplaceKey).await {
            Ok(Response::Stored) => Answer::Done,
            Ok(Response::KidTaken(_)) => {
                self.breaks(format!("applied once: the replacement by {value} met its own key"));
                Answer::Done
            }
            other => self.unknown(other),
        };
        self.history.lock().unwrap().end(register, Asked::Replace(value), began, answer);
    }

    async fn delete(&self, node: &Cluster, register: &str) {
        let began = self.history.lock().unwrap().tick();
        let place = place(register);
        let answer = match node.read_barrier().await {
            Ok(()) => {
                let through = state::next_version(node.state(), &place).unwrap().saturating_sub(1);
                let delete = Command::DeleteKey { place, through, kid: None };
                match propose(node, delete).await {
                    Ok(Response::Deleted { .. }) => Answer::Done,
                    other => self.unknown(other),
                }
            }
            Err(error) => self.unknown(Err(error)),
        };
        self.history.lock().unwrap().end(register, Asked::Delete, began, answer);
    }

    /// Changes a policy that no other client changes, after `changes` changes. Returns their new
    /// number, or `None` when the outcome is unknown.
    pub(crate) async fn change_policy(&self, node: &Cluster, name: &PolicyName, changes: u64) -> Option<u64> {
        let description = format!("change {}", changes + 1);
        let policy = Policy { description, ..Policy::streaming(name.clone()) };
        let command = Command::PutPolicy {
            account: account(),
            policy: Box::new(policy),
            condition: PolicyCondition::Always,
        };
        let mut acknowledged = None;
        match propose(node, command).await {
            Ok(Response::Policy(record)) => {
                if record.version != changes + 1 {
                    let text = format!(
                        "applied once: change {} of {name} made version {}",
                        changes + 1,
                        record.version
                    );
                    self.breaks(text);
                }
                acknowledged = Some(changes + 1);
            }
            other => {
                self.unknown(other);
            }
        }
        let mut policies = self.policies.lock().unwrap();
        policies.retain(|(other, _)| other != name);
        policies.extend(acknowledged.map(|changes| (name.clone(), changes)));
        acknowledged
    }

    async fn propose_key(
        &self,
        node: &Cluster,
        register: &str,
        value: u64,
        make: fn(NewKey) -> Command,
    ) -> Result<Response, ClusterError> {
        let mut version = state::next_version(node.state(), &place(register)).unwrap();
        loop {
            match propose(node, make(new_key(register, version, value))).await? {
                Response::VersionMoved { next } => version = next,
                response => return Ok(response),
            }
        }
    }

    /// An unknown outcome; an answer that a sound cluster never sends is recorded as a violation.
    fn unknown(&self, said: Result<Response, ClusterError>) -> Answer {
        match said {
            Err(ClusterError::NoQuorum { .. } | ClusterError::Stopped) => {}
            other => self.breaks(format!("answers: {other:?}")),
        }
        Answer::Unknown
    }

    fn breaks(&self, text: String) {
        self.broken.lock().unwrap().push(text);
    }

    fn new_value(&self) -> u64 {
        let mut next = self.next_value.lock().unwrap();
        *next += 1;
        *next
    }
}

pub(crate) fn account() -> AccountId {
    AccountId::new("simulated").unwrap()
}

fn place(register: &str) -> KeyPath {
    KeyPath {
        account: account(),
        content: ContentId::new(register).unwrap(),
        track: TrackName::default_track(),
    }
}

fn new_key(register: &str, version: u32, value: u64) -> NewKey {
    let key = Wrapped {
        master_key: MasterKeyId("none".into()),
        nonce: [0; 12],
        ciphertext: value.to_be_bytes().to_vec(),
    };
    let mut kid = [0; 16];
    kid[8..].copy_from_slice(&value.to_be_bytes());
    let kid = Kid::from_bytes(kid);
    NewKey { place: place(register), version, kid, key, origin: KeyOrigin::Generated }
}

fn value_of(kid: &Kid) -> u64 {
    u64::from_be_bytes(*kid.as_bytes().last_chunk().unwrap())
}
