//! A node does not start on the data of a cluster whose features its program does not know.

use std::time::Duration;

use cluster_tests::Grown;
use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_state::{ClusterIdentity, FEATURE_LEVEL, TABLE_NAMES, Table};
use keymoot_store::{Tables, TablesOptions};

/// Where the state keeps the cluster's identity.
const IDENTITY: &[u8] = b"identity";

#[test]
fn a_program_that_is_too_old_does_not_start_and_says_what_it_needs() {
    let mut cluster = Grown::begin("").unwrap();
    assert_eq!(cluster.status("a").unwrap()["feature_level"], FEATURE_LEVEL);
    let said = cluster.cluster("a", &["upgrade", "--yes"]).unwrap();
    assert!(said.code == Some(0) && said.out.contains("nothing to change"), "{said:?}");
    cluster.stop("a").unwrap();

    // As if a newer program had been here and had raised the level.
    let data = cluster.dir("a").join("data");
    let tables = Tables::open(&data, TABLE_NAMES, TablesOptions::default()).unwrap();
    let bytes = tables.get(Table::Meta as usize, IDENTITY).unwrap().expect("an identity");
    let identity: ClusterIdentity = codec::decode(Kind::Record, &bytes).unwrap();
    let newer = ClusterIdentity { feature_level: FEATURE_LEVEL + 1, ..identity };
    let mut batch = tables.begin();
    batch.put(Table::Meta as usize, IDENTITY, codec::encode(Kind::Record, &newer).unwrap()).unwrap();
    tables.commit(batch).unwrap();
    tables.persist().unwrap();
    drop(tables);

    cluster.serve_with("a", &[]).unwrap();
    assert_eq!(cluster.await_end("a", Duration::from_secs(30)).unwrap().code(), Some(1));
    let level = FEATURE_LEVEL + 1;
    let told = format!(
        "the cluster is at feature level {level} and this program knows levels up to {FEATURE_LEVEL}"
    );
    let log = cluster.log("a");
    assert!(log.contains(&told) && log.contains("the version of Keymoot that the other nodes run"), "{log}");
}
