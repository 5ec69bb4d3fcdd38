//! Members come, go and change places under load: no request is answered with an error, and every
//! acknowledged key is there at the end.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::raw::{self, Link};
use cluster_tests::signed::WIDEVINE;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, KeyAnswer, RigError, Signer};

struct Load {
    stop: AtomicBool,
    ledger: Mutex<Ledger>,
    refusals: Mutex<Vec<String>>,
}

impl Load {
    /// Creates keys at one node, which stays in the cluster, until told to stop.
    fn run(&self, signer: &Signer, node: std::net::SocketAddr, client: usize) {
        let mut link = Link::open(node, raw::ANSWER_WITHIN).unwrap();
        for serial in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let content = format!("client-{client}-{serial}");
            let request = signer.request("POST", WIDEVINE, &signer.custom_data(&content, &[]));
            let answer = link.ask(&request, raw::ANSWER_WITHIN).unwrap();
            match KeyAnswer::from_answer(&answer) {
                Ok(key) => self.ledger.lock().unwrap().enter(key, "the load"),
                Err(error) => self.refusals.lock().unwrap().push(format!("{content}: {error}")),
            }
            // A load that leaves room for the changes.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until so many more keys are made.
    fn await_keys(&self, more: usize) {
        let enough = self.ledger.lock().unwrap().len() + more;
        wait_until("the load to go on", Duration::from_secs(60), || {
            match self.ledger.lock().unwrap().len() {
                made if made >= enough => Ok(()),
                made => Err(RigError::Answer(format!("{made} of {enough} keys are made"))),
            }
        })
        .unwrap();
    }
}

/// Makes a change at a node; it must succeed, and the load goes on.
fn change(cluster: &Grown, load: &Load, at: &str, args: &[&str]) {
    let said = cluster.cluster(at, &[args, &["--yes"]].concat()).unwrap();
    assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
    load.await_keys(30);
}

#[test]
fn members_change_under_load_and_nobody_notices() {
    let mut cluster = Grown::begin("a").unwrap();
    for name in ["b", "c", "d"] {
        cluster.join(name, "a", name, &[]).unwrap();
    }
    cluster.await_voters("a", 4).unwrap();
    let load = Load { stop: AtomicBool::new(false), ledger: Mutex::default(), refusals: Mutex::default() };
    let signer = cluster.signer();
    let apis = cluster.apis(&["b", "c"]);
    std::thread::scope(|scope| {
        for client in 0..6 {
            let (load, signer, node) = (&load, &signer, apis[client % 2]);
            scope.spawn(move || load.run(signer, node, client));
        }
        let changes = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let change = |cluster: &Grown, at: &str, args: &[&str]| change(cluster, &load, at, args);
            change(&cluster, "b", &["demote", "4"]);
            change(&cluster, "c", &["transfer-leader", "2"]);
            change(&cluster, "d", &["promote", "4", "--wait"]);
            change(&cluster, "a", &["transfer-leader"]);
            change(&cluster, "b", &["transfer-leader", "1"]);
            // The leader goes for ever; then another that does not lead.
            change(&cluster, "c", &["remove", "1"]);
            change(&cluster, "c", &["remove", "4"]);
            cluster.join("e", "b", "e", &[]).unwrap();
            cluster.await_voters("b", 3).unwrap();
            // The leader becomes a learner: it transfers the leadership first.
            change(&cluster, "b", &["transfer-leader", "2"]);
            change(&cluster, "b", &["demote", "2"]);
            change(&cluster, "e", &["promote", "2", "--wait"]);
        }));
        load.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = changes {
            std::panic::resume_unwind(panic);
        }
    });
    let refusals = load.refusals.into_inner().unwrap();
    assert!(refusals.is_empty(), "a request was answered with an error: {refusals:#?}");
    let ledger = load.ledger.into_inner().unwrap();
    assert!(ledger.len() > 200, "only {} keys were made", ledger.len());
    ledger.assert_kept(&signer, &cluster.apis(&["b", "c", "e"]));
}
