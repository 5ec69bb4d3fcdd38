//! Certificates of nodes are renewed by the nodes and used without a restart; being off for years, or a clock that
//! was years ahead, keeps no node out.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster_tests::rogue::{Rogue, stolen_authority};
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, faketime, metrics};
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, Keyring, ProofPurpose};
use keymoot_tls::{NodeKey, NodeRequest, RENEW_ALPN, TrustedAuthorities, renewal_client_config};

const NAME: &str = "grown";
const UNTIL: &str = "keymoot_certificate_expires_timestamp_seconds{listener=\"peers\"}";
const DAY_S: f64 = 86_400.0;
/// Longer than a node needs to start and to find its peers on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);
/// Six years, which outlasts the certificates of every version.
const SIX_YEARS: &str = "+2200d";

/// The days that a node's certificate is valid yet, by the true clock.
fn days_left(cluster: &Grown, name: &str) -> Result<f64, RigError> {
    let until = metrics::sample(cluster.node(name).api, UNTIL)?;
    Ok((until - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()) / DAY_S)
}

/// A cluster of three whose clocks are what a file says.
struct Timed {
    cluster: Grown,
    library: PathBuf,
}

impl Timed {
    fn begin() -> Option<Self> {
        let library = faketime::library()?;
        let cluster = Grown::begin_three([""; 3], &[]).unwrap();
        let timed = Self { cluster, library };
        for name in ["a", "b", "c"] {
            timed.set_clock(name, "+0");
        }
        Some(timed)
    }

    fn set_clock(&self, name: &str, offset: &str) {
        std::fs::write(self.cluster.path(&format!("{name}.offset")), format!("{offset}\n")).unwrap();
    }

    fn start(&mut self, name: &str) {
        let offset = self.cluster.path(&format!("{name}.offset"));
        let library = self.library.clone();
        self.cluster.serve_with(name, &faketime::environment(&library, &offset)).unwrap();
    }

    fn await_ready(&self, name: &str) {
        let api = self.cluster.node(name).api;
        wait_until(&format!("node {name} to be ready"), WITHIN, || metrics::is_ready(api))
            .unwrap_or_else(|error| panic!("{error}\n{}", self.cluster.log(name)));
    }

    fn await_days_left(&self, name: &str, wanted: std::ops::Range<f64>) {
        wait_until(&format!("node {name} to have {wanted:?} days"), WITHIN, || {
            let days = days_left(&self.cluster, name)?;
            if wanted.contains(&days) { Ok(()) } else { Err(RigError::Answer(format!("{days} days"))) }
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", self.cluster.log(name)));
    }

    /// Makes a key at one node, which must be read at the others.
    fn assert_serves(&self, content: &str) {
        let [first, others @ ..] = ["c", "a", "b"].map(|name| self.cluster.node(name).api);
        let signer = self.cluster.signer();
        let key = wait_until("a key to be made", WITHIN, || signer.create(first, content)).unwrap();
        for api in others {
            let read = wait_until("a key to be read", WITHIN, || signer.read(api, content)).unwrap();
            assert_eq!(read, key);
        }
    }
}

#[test]
fn if_libfaketime_is_installed_a_cluster_that_was_off_for_years_starts() {
    let Some(mut timed) = Timed::begin() else { return };
    timed.assert_serves("before");
    for name in ["a", "b", "c"] {
        timed.cluster.stop(name).unwrap();
        timed.set_clock(name, SIX_YEARS);
    }
    for name in ["a", "b", "c"] {
        timed.start(name);
    }
    for name in ["a", "b", "c"] {
        timed.await_ready(name);
        timed.cluster.await_log(name, "the node made its next one").unwrap();
    }
    timed.assert_serves("after");
}

#[test]
fn if_libfaketime_is_installed_nodes_renew_in_the_last_third_without_a_restart_and_one_that_was_off_is_let_in()
 {
    let Some(mut timed) = Timed::begin() else { return };
    timed.cluster.stop("c").unwrap();
    for name in ["a", "b"] {
        timed.cluster.stop(name).unwrap();
        timed.start(name);
    }
    for name in ["a", "b"] {
        timed.await_ready(name);
        timed.await_days_left(name, 89.0..90.1);
    }
    let pids = ["a", "b"].map(|name| timed.cluster.pid(name));
    // Two thirds of the life have passed, then three times the life: no certificate from before is valid.
    for (offset, wanted) in [("+65d", 154.0..155.1), ("+130d", 219.0..220.1), ("+300d", 389.0..390.1)] {
        for name in ["a", "b"] {
            timed.set_clock(name, offset);
        }
        for name in ["a", "b"] {
            timed.await_days_left(name, wanted.clone());
        }
    }
    assert_eq!(pids, ["a", "b"].map(|name| timed.cluster.pid(name)), "a node was restarted");
    // The one that was off makes its next one, and is let in; both its peers show it what they have renewed.
    timed.set_clock("c", "+300d");
    timed.start("c");
    timed.await_ready("c");
    timed.assert_serves("after");
}

#[test]
fn if_libfaketime_is_installed_a_clock_that_was_years_ahead_and_is_right_again_keeps_no_node_out() {
    let Some(mut timed) = Timed::begin() else { return };
    timed.cluster.stop("c").unwrap();
    timed.start("c");
    timed.await_ready("c");
    // While it runs: it renews for a time that its peers do not have yet, and again when its clock is right.
    timed.set_clock("c", SIX_YEARS);
    timed.await_days_left("c", 2289.0..2290.1);
    timed.set_clock("c", "+0");
    timed.await_days_left("c", 89.0..90.1);
    timed.assert_serves("while-running");
    // Over a start.
    timed.cluster.stop("c").unwrap();
    timed.set_clock("c", SIX_YEARS);
    timed.start("c");
    timed.await_days_left("c", 2289.0..2290.1);
    timed.cluster.kill("c").unwrap();
    timed.set_clock("c", "+0");
    timed.start("c");
    timed.await_ready("c");
    timed.await_days_left("c", 89.0..90.1);
    timed.assert_serves("over-a-start");
}

#[test]
fn a_certificate_that_cannot_be_renewed_is_told_with_what_to_do_and_one_of_another_tool_is_read() {
    let mut cluster = Grown::begin_with("", &[]).unwrap();
    // Certificates of a CA that is not the one that the cluster holds the key of.
    cluster.init("x", "").unwrap();
    wait_until("the CA's key to be deleted", WITHIN, || match cluster.dir("a").join("ca-key.pem").exists() {
        true => Err(RigError::Answer("it is there".to_owned())),
        false => Ok(()),
    })
    .unwrap();
    cluster.stop("a").unwrap();
    for name in ["ca.pem", "node.pem", "node-key.pem"] {
        std::fs::copy(cluster.dir("x").join(name), cluster.dir("a").join(name)).unwrap();
    }
    // The present one is in its last third by this setting.
    cluster.serve_with("a", &[("KEYMOOT__CLUSTER__CERTIFICATE_LIFE_DAYS", "300")]).unwrap();
    let told = ["ends in 89 days", "which cluster.ca_file does not trust", "docs/certificates.md"];
    wait_until("the status to say so", WITHIN, || {
        let said = cluster.cluster("a", &["status"])?;
        match told.iter().all(|part| said.out.contains(part)) && said.code == Some(2) {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", cluster.log("a")));
    // What it says: another tool issues the next one, for the same name.
    let authority =
        keymoot_tls::ClusterCa::load(&cluster.dir("x").join("ca.pem"), &cluster.dir("x").join("ca-key.pem"))
            .unwrap();
    let key = keymoot_tls::NodeKey::load(&cluster.dir("a").join("node-key.pem")).unwrap();
    let request = keymoot_tls::NodeRequest::from_der(&key.request().unwrap()).unwrap();
    let life = Duration::from_secs(290 * 86_400);
    let next = authority.issue_node_for(1, &request, life).unwrap();
    std::fs::write(cluster.dir("a").join("node.pem"), next).unwrap();
    wait_until("the status to be content", WITHIN, || {
        let said = cluster.cluster("a", &["status"])?;
        match !said.out.contains("cannot renew") && said.out.contains("289 days") {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap();
}

#[test]
fn a_certificate_is_renewed_by_command_too_and_a_life_that_is_set_holds_for_nodes_that_join() {
    let mut cluster = Grown::begin_with("", &[("KEYMOOT__CLUSTER__CERTIFICATE_LIFE_DAYS", "30")]).unwrap();
    // `init` made one for longer than that, which the node has replaced.
    wait_until("the setting to hold", WITHIN, || match days_left(&cluster, "a")? {
        days if (29.0..30.1).contains(&days) => Ok(()),
        days => Err(RigError::Answer(format!("{days} days"))),
    })
    .unwrap();
    cluster.join("b", "a", "", &[]).unwrap();
    let days = days_left(&cluster, "b").unwrap();
    assert!((29.0..30.1).contains(&days), "{days} days");
    let read = |cluster: &Grown| std::fs::read(cluster.dir("b").join("node.pem")).unwrap();
    let (before, key) = (read(&cluster), std::fs::read(cluster.dir("b").join("node-key.pem")).unwrap());
    let said = cluster.cluster("b", &["certificate", "renew"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_ne!(read(&cluster), before);
    assert_eq!(std::fs::read(cluster.dir("b").join("node-key.pem")).unwrap(), key, "the node keeps its key");
    // The node goes on under the new one, and its peer takes it.
    let said = cluster.cluster("b", &["certificate", "list"]).unwrap();
    assert_eq!(said.out.matches("registered").count(), 2, "{said:?}");
    cluster.await_log("b", "the node's certificate was renewed").unwrap();
    cluster.stop("b").unwrap();
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 2).unwrap();
}

/// What a member answers to a request for the next certificate of a node.
#[derive(Debug, serde::Deserialize)]
enum Answer {
    Renewed {
        #[expect(dead_code, reason = "shown when a test fails")]
        certificate_pem: String,
    },
    Refused(String),
}

/// Asks node 1 for a certificate of node `id` for this key, with proof of this keyring.
fn ask_for_certificate(cluster: &Grown, id: u64, key: &NodeKey, keyring: &Keyring) -> Answer {
    let name = NAME.parse().unwrap();
    let authority = TrustedAuthorities::load(&cluster.dir("a").join("ca.pem")).unwrap().digests()[0];
    let tls = renewal_client_config(&name, authority).unwrap();
    let mut rogue = Rogue::connect((*tls).clone(), &name, 1, cluster.node("a").peer, RENEW_ALPN).unwrap();
    let challenge: Challenge = rogue.challenge().unwrap();
    let request = key.request().unwrap();
    let proof = rogue.proof(keyring, &challenge, ProofPurpose::Renew(&request)).unwrap();
    rogue.send(1, Kind::Frame, &(id, request, proof)).unwrap();
    rogue.receive(Kind::Frame).unwrap()
}

#[test]
fn a_node_that_was_off_since_it_was_admitted_is_given_its_next_certificate_by_a_member() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.stop("a").unwrap();
    let ring = cluster.keyring();
    let authority = stolen_authority(&cluster.dir("a").join("data"), ring.as_ref(), NAME).unwrap();
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
    cluster.add_node("b").unwrap();
    let (token, at) = (cluster.token("a", &[]).unwrap(), cluster.node("a").peer);
    let joined = cluster.try_join("b", &token, at, &[]).unwrap();
    assert_eq!(joined.code, Some(0), "{joined:?}");
    // It never ran, so its state holds no authority's key; the certificate ends meanwhile.
    let key = NodeKey::load(&cluster.dir("b").join("node-key.pem")).unwrap();
    let request = NodeRequest::of(&key).unwrap();
    let ended = authority.issue_node_for(2, &request, Duration::from_secs(1)).unwrap();
    std::fs::write(cluster.dir("b").join("node.pem"), ended).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    // With nobody to ask it says so.
    cluster.stop("a").unwrap();
    let config = cluster.config("b");
    let alone = cluster.run(&["serve", "--config", &config]).unwrap();
    assert_ne!(alone.code, Some(0), "{alone:?}");
    for word in ["not valid now", "no member made it either", "clock"] {
        assert!(alone.err.contains(word) || alone.out.contains(word), "{alone:?}");
    }
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
    // For another key than the registered one nobody is given any, nor without the keyring.
    let keyring = Keyring::load(ring.as_ref()).unwrap();
    let other = NodeKey::load_or_create(&cluster.path("other.pem")).unwrap();
    let refused = [
        (ask_for_certificate(&cluster, 1, &other, &keyring), "registered for node 1"),
        (ask_for_certificate(&cluster, 1, &key, &keyring), "registered for node 1"),
        (ask_for_certificate(&cluster, 2, &key, &Keyring::generate().unwrap()), "master key"),
    ];
    for (answer, word) in refused {
        assert!(matches!(&answer, Answer::Refused(reason) if reason.contains(word)), "{answer:?}");
    }
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 2).unwrap();
    cluster.await_log("b", "a member made the next one").unwrap();
    assert!(days_left(&cluster, "b").unwrap() > 80.0);
    // Once the node is removed nobody is given one in its name.
    let said = cluster.cluster("a", &["remove", "2", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let answer = ask_for_certificate(&cluster, 2, &key, &keyring);
    assert!(matches!(&answer, Answer::Refused(reason) if reason.contains("removed")), "{answer:?}");
}
