//! `keymoot cluster status`: 0 when all is well, 2 when something needs looking after, 1 without a quorum;
//! and it says what to do.

use std::time::Duration;

use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError};

fn await_code(cluster: &Grown, at: &str, code: i32, words: &[&str]) {
    wait_until(&format!("status to exit with {code}"), Duration::from_secs(30), || {
        let said = cluster.cluster(at, &["status"])?;
        let all = format!("{}{}", said.out, said.err);
        match said.code == Some(code) && words.iter().all(|word| all.contains(word)) {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{:?}: {all}", said.code))),
        }
    })
    .unwrap();
}

#[test]
fn the_exit_code_says_how_the_cluster_is() {
    let mut cluster = Grown::begin("west").unwrap();
    await_code(&cluster, "a", 2, &["the only voter survives no failure", "to do: let nodes join"]);
    cluster.join("b", "a", "east", &[]).unwrap();
    cluster.join("c", "a", "north", &[]).unwrap();
    cluster.await_voters("a", 3).unwrap();
    await_code(&cluster, "c", 0, &["feature level 1", "leads"]);
    let member = cluster.status("c").unwrap()["members"][1].clone();
    for key in ["zone", "lag", "last_contact_ms"] {
        assert!(!member[key].is_null(), "{key}: {member:#}");
    }
    for key in ["term", "applied_index", "version", "disk", "certificate_expires_at_s", "feature_level"] {
        assert!(!member["status"][key].is_null(), "{key}: {member:#}");
    }

    cluster.kill("c").unwrap();
    let words =
        ["node 3 is silent", "no further failure is survived", "keymoot cluster remove 3", "degraded"];
    await_code(&cluster, "a", 2, &words);
    // Neither of the two that are left may go: the one that would stay is no majority of two.
    wait_until("the leader to miss node 3", Duration::from_secs(20), || {
        let said = cluster.cluster("a", &["remove", "2", "--yes"])?;
        match said.code == Some(1) && said.err.contains("no majority") && said.err.contains("--force") {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap();
    cluster.kill("b").unwrap();
    await_code(&cluster, "a", 1, &["no quorum: 1 of 3 voters answer, 2 are needed"]);
    cluster.kill("a").unwrap();
    await_code(&cluster, "a", 1, &["cannot reach node 1", "hint: does the node run?"]);
}
