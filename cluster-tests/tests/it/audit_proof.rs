//! Nobody who owns one node can rewrite or cut that node's past unseen: the others hold what it had said, sign nothing
//! that does not follow from it, and `keymoot audit verify` names the place.

use std::path::PathBuf;
use std::time::Duration;

use cluster_tests::operator::CommandOutput;
use cluster_tests::wait::{pause, wait_until};
use cluster_tests::{Grown, RigError, audit, metrics};
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(90);
const NAMES: [&str; 3] = ["a", "b", "c"];

fn verify(cluster: &Grown, at: &str) -> CommandOutput {
    cluster.run(&["audit", "verify", "--config", &cluster.config(at)]).unwrap()
}

fn logs(cluster: &Grown, at: &str) -> Result<Vec<Value>, RigError> {
    let said = cluster.must(&["audit", "logs", "--output", "json", "--config", &cluster.config(at)])?;
    let logs: Value = serde_json::from_str(&said.out).map_err(|error| RigError::Answer(error.to_string()))?;
    Ok(logs["logs"].as_array().cloned().unwrap_or_default())
}

fn audit_dir(cluster: &Grown, name: &str) -> PathBuf {
    cluster.dir(name).join("data/audit")
}

fn create(cluster: &Grown, at: &str, content: &str) {
    let api = cluster.node(at).api;
    wait_until("a key to be made", WITHIN, || cluster.signer().create(api, content)).unwrap();
}

/// Waits until each of these nodes has a log of which at least so many events were cosigned by two others.
fn await_cosigned(cluster: &Grown, at: &str, nodes: &[u64], events: u64) {
    wait_until("the logs to be cosigned", WITHIN, || {
        let logs = logs(cluster, at)?;
        let is_cosigned = |node: &u64| {
            logs.iter().any(|log| {
                let last = log["checkpoints"].as_array().and_then(|all| {
                    all.iter().rev().find(|at| at["cosigned_by"].as_object().is_some_and(|by| by.len() >= 2))
                });
                log["name"]["node"] == *node && last.is_some_and(|last| last["size"].as_u64() >= Some(events))
            })
        };
        let all = nodes.iter().all(is_cosigned);
        if all { Ok(()) } else { Err(RigError::Answer(format!("{logs:#?}"))) }
    })
    .unwrap();
}

/// How many events the log of a node has, once the cluster knows it.
fn size(cluster: &Grown, at: &str, node: u64) -> u64 {
    wait_until("the log to be known", WITHIN, || {
        let logs = logs(cluster, at)?;
        let mut of_node = logs.iter().filter(|log| log["name"]["node"] == node);
        let held = of_node.find_map(|log| log["held"]["size"].as_u64());
        held.ok_or_else(|| RigError::Answer(format!("{logs:#?}")))
    })
    .unwrap()
}

/// Waits until `verify` at a node says all of this, and gives what it said.
fn await_verdict(cluster: &Grown, at: &str, code: i32, parts: &[&str]) -> CommandOutput {
    wait_until("the verdict", WITHIN, || {
        let said = verify(cluster, at);
        let all = format!("{}{}", said.out, said.err);
        match said.code == Some(code) && parts.iter().all(|part| all.contains(part)) {
            true => Ok(said),
            false => Err(RigError::Answer(format!("{said:?}"))),
        }
    })
    .unwrap()
}

/// Waits until `cluster status` at a node complains in these words.
fn await_complaint(cluster: &Grown, at: &str, words: &str) {
    wait_until("the complaint", WITHIN, || {
        let said = cluster.cluster(at, &["status"])?;
        if said.out.contains(words) { Ok(()) } else { Err(RigError::Answer(format!("{said:?}"))) }
    })
    .unwrap();
}

#[test]
fn a_log_that_its_own_node_rewrote_is_refused_by_the_others_and_found_by_verify() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    for name in NAMES {
        create(&cluster, name, &format!("film-{name}"));
    }
    let sizes: Vec<u64> = [1, 2, 3].map(|node| size(&cluster, "a", node)).to_vec();
    await_cosigned(&cluster, "a", &[2], sizes[1]);
    let whole = await_verdict(
        &cluster,
        "a",
        0,
        &["whole: audit log 1/", "whole: audit log 2/", "whole: audit log 3/"],
    );
    assert!(!whole.out.contains("BROKEN"), "{}", whole.out);

    // What was read from node 2 is now said to have been another film, in a log that fits itself.
    cluster.stop("b").unwrap();
    let changed = audit::forge(&audit_dir(&cluster, "b"), "film-b", "film-x").unwrap();
    assert!(changed > 0);
    cluster.serve("b").unwrap();
    create(&cluster, "b", "film-later");

    let found =
        await_verdict(&cluster, "a", 1, &["BROKEN: audit log 2/", "some were changed, removed or moved"]);
    assert!(found.out.contains("cosigned by "), "{}", found.out);
    assert!(found.err.contains("not what it was: audit log 2/"), "{}", found.err);
    for name in ["a", "c"] {
        await_complaint(&cluster, name, "of node 2 is not cosigned: its checkpoint at");
        wait_until("the metric", WITHIN, || {
            match metrics::sample(cluster.node(name).api, "keymoot_audit_logs_refused")? {
                refused if refused > 0.0 => Ok(()),
                refused => Err(RigError::Answer(format!("{name}: {refused}"))),
            }
        })
        .unwrap();
    }
    await_complaint(&cluster, "b", "is not what it was when it had");
    wait_until("both to tell of it", WITHIN, || {
        let told = audit::search(&cluster.config("a"), &["--action", "audit.cosign"])?;
        let is_told_by = |node| told.iter().any(|told| told.node == node);
        if is_told_by(1) && is_told_by(3) { Ok(()) } else { Err(RigError::Answer(format!("{told:?}"))) }
    })
    .unwrap();
    // The others go on.
    create(&cluster, "c", "film-last");
    await_cosigned(&cluster, "a", &[3], size(&cluster, "a", 3) - 1);
}

#[test]
fn a_tail_that_was_cut_off_is_named_and_so_is_a_log_that_was_left_for_another_one() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    for film in 0..5 {
        create(&cluster, "c", &format!("film-{film}"));
    }
    let whole = size(&cluster, "a", 3);
    await_cosigned(&cluster, "a", &[3], whole);
    cluster.kill("c").unwrap();
    audit::cut(&audit_dir(&cluster, "c"), 3).unwrap();
    cluster.serve("c").unwrap();
    let found = await_verdict(&cluster, "a", 1, &["BROKEN: audit log 3/", "cosigned by "]);
    assert!(
        found.out.contains("the tail was cut off") || found.out.contains("some were changed, removed"),
        "{}",
        found.out
    );
    await_complaint(&cluster, "a", "of node 3 is not cosigned:");

    // Its audit is gone altogether: the next log names the one that was there, and nobody forgets how long that was.
    cluster.kill("c").unwrap();
    std::fs::remove_dir_all(audit_dir(&cluster, "c")).unwrap();
    cluster.serve("c").unwrap();
    let (old, new) = wait_until("the new log to be registered", WITHIN, || {
        let logs = logs(&cluster, "a")?;
        let of_third: Vec<Value> = logs.into_iter().filter(|log| log["name"]["node"] == 3).collect();
        match of_third.as_slice() {
            [old, new] => Ok((old.clone(), new.clone())),
            other => Err(RigError::Answer(format!("{other:#?}"))),
        }
    })
    .unwrap();
    assert_eq!(new["before"]["name"], old["name"], "{new:#}");
    assert_eq!(old["followed_by"], new["name"]["log"], "{old:#}");
    assert!(new["before"]["size"].as_u64().unwrap() >= whole, "{new:#}");
    let said = await_verdict(&cluster, "a", 2, &["not here: audit log 3/", "whole: audit log 3/"]);
    assert!(said.err.contains("could not be looked at: audit log 3/"), "{}", said.err);
    let begins = audit::search(&cluster.config("a"), &["--action", "audit.begin"]).unwrap();
    let origin = old["origin"].as_str().unwrap();
    assert!(begins.iter().any(|told| told.node == 3 && told.text("object").contains(origin)), "{begins:?}");
}

#[test]
fn without_a_quorum_events_go_on_being_written_and_verify_says_since_when_nothing_was_cosigned() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    create(&cluster, "a", "film");
    await_cosigned(&cluster, "a", &[1], size(&cluster, "a", 1));
    cluster.kill("b").unwrap();
    cluster.kill("c").unwrap();
    let before = size(&cluster, "a", 1);
    let said = await_verdict(
        &cluster,
        "a",
        2,
        &["whole: audit log 1/", "is in contact with no quorum, so nothing is cosigned since 20"],
    );
    assert!(
        said.out.contains("not here: audit log 2/") && said.out.contains("not here: audit log 3/"),
        "{said:?}"
    );
    // Refusals are written as before.
    let refused = cluster.signer().with_key("another").create(cluster.node("a").api, "film");
    assert!(refused.is_err());
    pause(Duration::from_secs(2)).unwrap();
    assert!(size(&cluster, "a", 1) > before);
    let lost = cluster.run(&["audit", "search", "--config", &cluster.config("a")]).unwrap();
    assert_eq!(lost.code, Some(0), "{lost:?}");
    for node in [2, 3] {
        assert!(lost.err.contains(&format!("of node {node} are not in this answer")), "{}", lost.err);
    }
}
