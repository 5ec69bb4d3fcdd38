//! A node whose state is not that of the others is found by their digests, stops for good with what to do, and is
//! salvaged and replaced as it says; the others go on.

use std::path::Path;
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, metrics};
use keymoot_state::{TABLE_NAMES, Table};
use keymoot_store::{Tables, TablesOptions};

/// Longer than a check of a small state and the reports after it take.
const FOUND_WITHIN: Duration = Duration::from_secs(60);

/// Alters the records of a stopped node: two tracks have each other's keys, and a key is there that was never made.
fn alter(data: &Path) {
    let tables = Tables::open(data, TABLE_NAMES, TablesOptions::default()).unwrap();
    let view = tables.view();
    let mut tracks = view.iter(Table::Tracks as usize).unwrap().map(Result::unwrap);
    let ((first, one), (second, other)) = (tracks.next().unwrap(), tracks.next().unwrap());
    let (_, kid) = view.iter(Table::Kids as usize).unwrap().next().unwrap().unwrap();
    let mut batch = tables.begin();
    batch.put(Table::Tracks as usize, &first, &other).unwrap();
    batch.put(Table::Tracks as usize, &second, &one).unwrap();
    batch.put(Table::Kids as usize, [0xee; 16], &kid).unwrap();
    tables.commit(batch).unwrap();
    tables.persist().unwrap();
}

fn await_status(cluster: &Grown, what: &str, fits: impl Fn(Option<i32>, &str) -> bool) {
    wait_until(what, FOUND_WITHIN, || {
        let status = cluster.cluster("a", &["status"])?;
        if fits(status.code, &status.out) { Ok(()) } else { Err(RigError::Answer(status.out)) }
    })
    .unwrap();
}

#[test]
fn a_node_whose_records_changed_on_the_disk_stops_for_good_and_is_replaced_as_it_says() {
    let mut cluster = Grown::begin_three([""; 3], &[("KEYMOOT__STORE__SCRUB_INTERVAL_S", "2")]).unwrap();
    let mut ledger = Ledger::default();
    for number in 0..6 {
        let key = cluster.signer().create(cluster.node("b").api, &format!("film-{number}")).unwrap();
        ledger.enter(key, "before");
    }
    // With sound records, the checks that are made all the time find nothing.
    std::thread::sleep(Duration::from_secs(6));
    cluster.await_log("b", "all records agree with their digest").unwrap();
    await_status(&cluster, "the cluster to be healthy", |code, _| code == Some(0));

    cluster.stop("b").unwrap();
    let data = cluster.dir("b").join("data");
    alter(&data);
    cluster.serve_with("b", &[]).unwrap();
    assert_eq!(cluster.await_end("b", FOUND_WITHIN).unwrap().code(), Some(1));
    let said = cluster.log("b");
    let data = data.display().to_string();
    let salvage = format!("keymoot cluster salvage {data} --output FILE");
    for part in
        ["the state of this node, node 2, is not that of the cluster", &salvage, "keymoot cluster remove 2"]
    {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    await_status(&cluster, "the finding", |code, text| {
        code == Some(2)
            && text.contains("not that of the majority")
            && text.contains("keymoot cluster remove 2")
    });
    // Each node compares the reports by itself.
    wait_until("the finding in the metrics", FOUND_WITHIN, || {
        let diverged = metrics::sample(cluster.node("a").api, "keymoot_state_diverged")?;
        if (diverged - 1.0).abs() < f64::EPSILON {
            Ok(())
        } else {
            Err(RigError::Answer(diverged.to_string()))
        }
    })
    .unwrap();
    ledger.enter(cluster.signer().create(cluster.node("c").api, "without-it").unwrap(), "meanwhile");

    // However often it is started, it says the same.
    for _ in 0..2 {
        let before = cluster.log("b").len();
        cluster.serve_with("b", &[]).unwrap();
        assert_eq!(cluster.await_end("b", FOUND_WITHIN).unwrap().code(), Some(1));
        let said = cluster.log("b");
        let again = said.get(before..).unwrap_or(&said);
        assert!(again.contains(&salvage) && again.contains("diverged.toml"), "{again}");
    }

    // What it says is done, to the letter.
    let file = cluster.path("b.salvage").display().to_string();
    let config = cluster.config("b");
    let sealed = cluster.run(&["cluster", "salvage", &data, "--output", &file, "--config", &config]).unwrap();
    assert_eq!(sealed.code, Some(0), "{sealed:?}");
    for part in [
        "only here  key account demo",
        "KID ee",
        "key: 1 only here, 0 different",
        "not those that were written",
    ] {
        assert!(sealed.out.contains(part), "{part:?} is not in: {}", sealed.out);
    }
    cluster.must(&["backup", "verify", &file, "--keyring", &cluster.keyring(), "--unsigned"]).unwrap();

    let removed = cluster.cluster("c", &["remove", "2", "--yes"]).unwrap();
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let token = cluster.token("c", &[]).unwrap();
    std::fs::rename(cluster.dir("b"), cluster.path("b.old")).unwrap();
    let joined = cluster.try_join("b", &token, cluster.node("c").peer, &[]).unwrap();
    assert!(joined.code == Some(0) && joined.out.contains("node 4 joined"), "{joined:?}");
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 3).unwrap();
    await_status(&cluster, "the cluster to be healthy again", |code, _| code == Some(0));
    assert_eq!(ledger.len(), 7);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}
