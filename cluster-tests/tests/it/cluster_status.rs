//! `keymoot cluster status`: 0 when all is well, 2 when something needs looking after, 1 when no write can
//! commit; and it says what to do, which helps when it is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_tests::purge::SLOW_SNAPSHOTS;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError};
use keymoot_state::FEATURE_LEVEL;

const ZONES: [&str; 3] = ["west", "east", "north"];

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
    await_code(&cluster, "c", 0, &[&format!("feature level {FEATURE_LEVEL}"), "leads"]);
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
    cluster.serve("c").unwrap();
    await_code(&cluster, "a", 0, &[]);
    cluster.kill("c").unwrap();
    // Before the leader misses node 3 it may remove node 2, as node 3 counts as up for two seconds.
    wait_until("the leader to miss node 3", Duration::from_secs(20), || {
        let heard = cluster.status("a")?["members"][2]["last_contact_ms"].clone();
        match heard.as_u64().is_none_or(|ms| ms > 2000) {
            true => Ok(()),
            false => Err(RigError::Answer(format!("heard {heard} ms ago"))),
        }
    })
    .unwrap();
    // Neither of the two that are left may go: the one that would stay is no majority of two.
    wait_until("the removal to be refused", Duration::from_secs(20), || {
        let said = cluster.cluster("a", &["remove", "2", "--yes"])?;
        match said.code == Some(1) && said.err.contains("no majority") && said.err.contains("--force") {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap();
    cluster.kill("b").unwrap();
    let words = ["no quorum: 1 of 3 voters answer, 2 are needed", "keymoot cluster recover"];
    await_code(&cluster, "a", 1, &words);
    let said = cluster.cluster("a", &["status"]).unwrap();
    assert!(!said.out.contains("cluster remove"), "nothing can be removed without a quorum: {}", said.out);
    cluster.kill("a").unwrap();
    await_code(&cluster, "a", 1, &["cannot reach node 1", "hint: does the node run?"]);
}

fn three() -> Grown {
    let cluster = Grown::begin_three(ZONES, &[]).unwrap();
    await_code(&cluster, "a", 0, &[]);
    cluster
}

/// The next look, and no later one, must find that all is well.
fn is_healthy(cluster: &Grown, at: &str, when: &str) {
    let said = cluster.cluster(at, &["status"]).unwrap();
    assert_eq!(said.code, Some(0), "{when}: {}{}", said.out, said.err);
}

#[test]
fn a_cluster_at_work_and_one_that_was_restarted_are_healthy() {
    let mut cluster = three();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (api, signer, stop) = (cluster.node("b").api, cluster.signer(), &stop);
            scope.spawn(move || {
                for serial in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    signer.create(api, &format!("load-{client}-{serial}.mp4")).unwrap();
                }
            });
        }
        let codes: Vec<_> =
            (0..5).map(|_| cluster.cluster("c", &["status"]).map(|said| (said.code, said.out))).collect();
        stop.store(true, Ordering::Relaxed);
        for said in codes {
            let (code, table) = said.unwrap();
            assert_eq!(code, Some(0), "under load: {table}");
        }
    });
    for name in ["a", "b", "c"] {
        cluster.stop(name).unwrap();
        cluster.serve(name).unwrap();
    }
    is_healthy(&cluster, "a", "after a rolling restart");
    cluster.kill("b").unwrap();
    cluster.serve("b").unwrap();
    is_healthy(&cluster, "b", "after a kill");
}

/// A snapshot of 1600 contents takes some ten seconds to send.
fn fill(cluster: &Grown, contents: usize) {
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (api, signer) = (cluster.node("a").api, cluster.signer());
            scope.spawn(move || {
                for serial in 0..contents / 4 {
                    signer.create(api, &format!("content-{client}-{serial}.mp4")).unwrap();
                }
            });
        }
    });
}

#[test]
fn an_emptied_voter_is_found_and_what_is_said_to_do_about_it_helps() {
    let mut cluster = Grown::begin_three(ZONES, &SLOW_SNAPSHOTS).unwrap();
    fill(&cluster, 400);
    cluster.kill("c").unwrap();
    std::fs::remove_dir_all(cluster.dir("c").join("data")).unwrap();
    // Who leads then never knew how far it was.
    let said = cluster.cluster("a", &["transfer-leader", "2", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    cluster.serve_with("c", &[]).unwrap();
    // It answers by then, or has ended because its peers refuse it.
    let _ = cluster.await_end("c", Duration::from_secs(3));
    await_code(
        &cluster,
        "a",
        2,
        &["node 3", "no further failure is survived", "keymoot cluster replace-disk"],
    );
    let said = cluster.cluster("a", &["remove", "3", "--yes"]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    cluster.kill("c").unwrap();
    cluster.join("d", "a", "north", &[]).unwrap();
    cluster.await_voters("a", 3).unwrap();
    await_code(&cluster, "a", 0, &[]);
}

#[test]
fn a_learner_that_is_being_filled_is_told_and_is_fine_then() {
    let mut cluster = Grown::begin_with("west", &SLOW_SNAPSHOTS).unwrap();
    fill(&cluster, 1600);
    cluster.add_node("b").unwrap();
    let token = cluster.token("a", &["--learner"]).unwrap();
    let said = cluster.try_join("b", &token, cluster.node("a").peer, &[]).unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    cluster.serve("b").unwrap();
    await_code(&cluster, "a", 2, &["node 2 is stalled at entry 0", "a snapshot may be on its way"]);
    wait_until("the learner to be filled", Duration::from_secs(120), || {
        let said = cluster.cluster("a", &["status"])?;
        match said.out.contains("node 2") {
            false => Ok(()),
            true => Err(RigError::Answer(said.out)),
        }
    })
    .unwrap();
}
