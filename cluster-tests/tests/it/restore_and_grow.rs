//! What is restored elsewhere, under a new CA, is a cluster that grows: on one machine and on three; and
//! what could not grow is told before.

use std::fs;
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError};

const HELD: &str = "the cluster holds its authority's key now";
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A cluster whose nodes are all dead, and a backup of it.
struct Lost {
    cluster: Grown,
    ledger: Ledger,
    backup: String,
}

impl Lost {
    fn three_nodes() -> Self {
        let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
        let mut ledger = Ledger::default();
        for serial in 0..20 {
            let key = cluster.signer().create(cluster.node("b").api, &format!("kept-{serial}")).unwrap();
            ledger.enter(key, "before");
        }
        let backup = cluster.path("grown.backup").display().to_string();
        let config = cluster.config("b");
        cluster.must(&["backup", "create", "--config", &config, "--output", &backup]).unwrap();
        for name in ["a", "b", "c"] {
            cluster.kill(name).unwrap();
        }
        Self { cluster, ledger, backup }
    }

    fn restore(&self, at: &str, more: &[&str]) -> cluster_tests::operator::CommandOutput {
        let config = self.cluster.config(at);
        let args = [&["backup", "restore", &self.backup, "--config", &config][..], more].concat();
        self.cluster.run(&args).unwrap()
    }

    fn verify(&self, more: &[&str]) -> cluster_tests::operator::CommandOutput {
        self.cluster.run(&[&["backup", "verify", &self.backup][..], more].concat()).unwrap()
    }

    fn member(&self, id: u64, name: &str) -> String {
        format!("{id}={}", self.cluster.node(name).peer)
    }

    /// Every key from before is at these nodes, and new ones are made at the last.
    fn assert_kept_at(&mut self, names: &[&str]) {
        let last = names.last().unwrap();
        confirm_accounts(&self.cluster, names.first().unwrap());
        let key = self.cluster.signer().create(self.cluster.node(last).api, "after").unwrap();
        self.ledger.enter(key, "after");
        self.ledger.assert_kept(&self.cluster.signer(), &self.cluster.apis(names));
    }
}

/// Lets the accounts be served that the backup brought back, as its restore says.
fn confirm_accounts(cluster: &Grown, at: &str) {
    let config = cluster.config(at);
    cluster.must(&["account", "confirm", "--all", "--yes", "--config", &config]).unwrap();
}

/// Waits until the cluster has the key of this node's CA.
fn await_deleted(cluster: &Grown, at: &str) {
    wait_until("the key to be deleted", TOLD_WITHIN, || match cluster.dir(at).join("ca-key.pem").exists() {
        true => Err(RigError::Answer("it is still there".to_owned())),
        false => Ok(()),
    })
    .unwrap();
}

#[test]
fn one_machine_under_a_new_ca_grows_to_three() {
    let mut lost = Lost::three_nodes();
    lost.cluster.init("x", "").unwrap();
    let config = lost.cluster.config("x");
    // With the keyring that `init` made, nothing opens.
    let strange = lost.verify(&["--config", &config]);
    assert!(strange.code == Some(1) && strange.err.contains("does not open every key"), "{strange:?}");
    lost.cluster.bring_keyring("x").unwrap();
    let verified = lost.verify(&["--config", &config]).succeeded().unwrap();
    assert!(verified.contains("nodes can join once this node serves"), "{verified}");

    // Without the CA's key it could not grow: that is told, and refused.
    let (key, away) = (lost.cluster.dir("x").join("ca-key.pem"), lost.cluster.path("away.pem"));
    fs::rename(&key, &away).unwrap();
    let told = lost.verify(&["--config", &config]);
    assert!(told.code == Some(1) && told.out.contains("CANNOT GROW"), "{told:?}");
    assert!(told.err.contains("would be refused by their peers"), "{told:?}");
    let member = lost.member(1, "x");
    let refused = lost.restore("x", &["--member", &member]);
    assert!(refused.code == Some(64) && refused.err.contains("--without-ca-key"), "{refused:?}");
    assert!(!lost.cluster.dir("x").join("data").exists());
    fs::rename(&away, &key).unwrap();

    let said = lost.restore("x", &["--member", &member]).succeeded().unwrap();
    assert!(said.contains("its CA becomes the cluster's"), "{said}");
    lost.cluster.serve("x").unwrap();
    lost.cluster.await_log("x", HELD).unwrap();
    let kept = fs::read_dir(lost.cluster.dir("x")).unwrap().flatten().map(|entry| entry.file_name());
    let kept: Vec<_> = kept.filter(|name| name.to_string_lossy().starts_with("ca-key")).collect();
    assert_eq!(kept, ["ca-key.founded"], "the authority's key lies on the disk");
    lost.cluster.join("y", "x", "", &[]).unwrap();
    lost.cluster.join("z", "y", "", &[]).unwrap();
    lost.cluster.await_voters("z", 3).unwrap();
    lost.assert_kept_at(&["x", "y", "z"]);
}

#[test]
fn three_machines_under_a_new_ca_grow_to_four_though_one_has_the_cas_key() {
    let mut lost = Lost::three_nodes();
    lost.cluster.init("x", "").unwrap();
    lost.cluster.bring_keyring("x").unwrap();
    lost.cluster.issue("y", 2, "x").unwrap();
    lost.cluster.issue("z", 3, "x").unwrap();
    let members = [(1, "x"), (2, "y"), (3, "z")].map(|(id, name)| lost.member(id, name));
    let mut options: Vec<&str> = members.iter().flat_map(|member| ["--member", member]).collect();

    let refused = lost.restore("y", &options);
    assert!(refused.code == Some(64) && refused.err.contains("founding_ca_key_file"), "{refused:?}");
    let said = lost.restore("x", &options).succeeded().unwrap();
    let fence = said.split("--fence ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    options.extend(["--fence", &fence]);
    for name in ["y", "z"] {
        lost.restore(name, &options).succeeded().unwrap();
    }
    // Without the node that has the key, the others serve, and let nobody in yet.
    for name in ["y", "z"] {
        lost.cluster.serve(name).unwrap();
    }
    lost.cluster.await_status_at("y", "a leader", |table| table.contains("leader")).unwrap();
    lost.cluster.add_node("w").unwrap();
    let token = lost.cluster.token("y", &[]).unwrap();
    let early = lost.cluster.try_join("w", &token, lost.cluster.node("z").peer, &[]).unwrap();
    assert!(early.code == Some(1) && early.err.contains("start the node that has the CA's key"), "{early:?}");
    lost.cluster.serve("x").unwrap();
    lost.cluster.await_log("x", HELD).unwrap();
    let joined = lost.cluster.try_join("w", &token, lost.cluster.node("z").peer, &[]).unwrap();
    assert_eq!(joined.code, Some(0), "{joined:?}");
    lost.cluster.serve("w").unwrap();
    lost.cluster.await_voters("z", 4).unwrap();
    lost.assert_kept_at(&["x", "y", "z", "w"]);
}

#[test]
fn a_member_signs_nothing_that_its_peers_refuse_and_what_it_says_instead_helps() {
    let mut cluster = Grown::begin("").unwrap();
    let mut ledger = Ledger::default();
    let key = cluster.signer().create(cluster.node("a").api, "kept").unwrap();
    ledger.enter(key, "before");
    cluster.await_log("a", HELD).unwrap();
    cluster.stop("a").unwrap();
    // The node gets certificates of a new CA, and its state keeps the old one: what earlier versions made
    // of a restore under a new CA.
    cluster.init("x", "").unwrap();
    let (from, to) = (cluster.dir("x"), cluster.dir("a"));
    for name in ["ca.pem", "ca-key.pem", "node.pem", "node-key.pem"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    cluster.serve("a").unwrap();
    cluster.await_log("a", "the cluster holds the key of another authority").unwrap();
    assert!(to.join("ca-key.pem").exists(), "the only key of the nodes' CA was deleted");

    cluster.add_node("b").unwrap();
    // Until it leads, it does not know its own new key.
    let mut token = String::new();
    wait_until("the node to know its key", TOLD_WITHIN, || {
        token = cluster.token("a", &[])?;
        Ok(())
    })
    .unwrap();
    let refused = cluster.try_join("b", &token, cluster.node("a").peer, &[]).unwrap();
    assert!(refused.code == Some(1) && refused.err.contains("The token is not spent"), "{refused:?}");
    let tokens = cluster.cluster("a", &["token", "list"]).unwrap();
    assert!(tokens.out.contains("open"), "{tokens:?}");

    // What it says: a backup, restored with the key of the nodes' CA.
    let (config, backup) = (cluster.config("a"), cluster.path("a.backup").display().to_string());
    cluster.must(&["backup", "create", "--config", &config, "--output", &backup]).unwrap();
    cluster.stop("a").unwrap();
    fs::rename(to.join("data"), to.join("data-of-before")).unwrap();
    let member = format!("1={}", cluster.node("a").peer);
    cluster.must(&["backup", "restore", &backup, "--config", &config, "--member", &member]).unwrap();
    cluster.serve("a").unwrap();
    await_deleted(&cluster, "a");
    // The token is in the backup, and still good.
    let joined = cluster.try_join("b", &token, cluster.node("a").peer, &[]).unwrap();
    assert_eq!(joined.code, Some(0), "{joined:?}");
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 2).unwrap();
    confirm_accounts(&cluster, "a");
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b"]));
}

#[test]
fn a_survivor_under_a_new_ca_is_recovered_and_grows() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    let key = cluster.signer().create(cluster.node("a").api, "kept").unwrap();
    ledger.enter(key, "before");
    for name in ["a", "b", "c"] {
        cluster.stop(name).unwrap();
    }
    // The survivor's certificates are lost with their CA; `init` makes new ones for node 1.
    cluster.init("x", "").unwrap();
    for name in ["ca.pem", "node.pem", "node-key.pem"] {
        fs::copy(cluster.dir("x").join(name), cluster.dir("a").join(name)).unwrap();
    }
    let config = cluster.config("a");
    let recover = ["cluster", "recover", "--config", &config, "--yes-the-others-are-stopped", "grown"];
    let refused = cluster.run(&recover).unwrap();
    assert!(refused.code == Some(64) && refused.err.contains("--without-ca-key"), "{refused:?}");
    fs::copy(cluster.dir("x").join("ca-key.pem"), cluster.dir("a").join("ca-key.pem")).unwrap();
    cluster.must(&recover).unwrap();
    cluster.serve("a").unwrap();
    await_deleted(&cluster, "a");
    cluster.join("y", "a", "", &[]).unwrap();
    cluster.await_voters("y", 2).unwrap();
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "y"]));
}
