//! Who ever got a key, and what a credential did, is one question to any node, whichever nodes it happened on; and what
//! cannot be answered is named.

use std::time::Duration;

use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError, audit};
use keymoot_model::Kid;
use serde_json::Value;

use super::operators;

const WITHIN: Duration = Duration::from_secs(90);

fn search(cluster: &Grown, at: &str, more: &[&str]) -> cluster_tests::operator::CommandOutput {
    let config = cluster.config(at);
    cluster.run(&[&["audit", "search", "--config", &config][..], more].concat()).unwrap()
}

#[test]
fn who_got_a_key_is_one_question_over_three_nodes_and_a_node_that_is_down_is_named() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let made =
        wait_until("a key to be made", WITHIN, || cluster.signer().create(cluster.node("a").api, "film"));
    let kid = Kid::from_base64(&made.unwrap().key_id).unwrap();
    for name in ["b", "c"] {
        wait_until("the key to be read", WITHIN, || cluster.signer().read(cluster.node(name).api, "film"))
            .unwrap();
    }
    cluster.signer().create(cluster.node("b").api, "another-film").unwrap();

    // In each form that a key id has, and at each node.
    for (at, form) in [("a", kid.to_base64()), ("b", kid.to_hex()), ("c", kid.to_string())] {
        let told = audit::search(&cluster.config(at), &["--key-id", &form, "--outcome", "done"]).unwrap();
        let by: Vec<(u64, &str)> = told.iter().map(|told| (told.node, told.text("action"))).collect();
        assert_eq!(by, [(1, "key.create"), (2, "key.read"), (3, "key.read")], "{told:?}");
        assert!(
            told.iter().all(|told| told.text("address") == "127.0.0.1" && told.actor() == "demo"),
            "{told:?}"
        );
        let times: Vec<u64> = told.iter().map(|told| told.event["time_ms"].as_u64().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
    let credential = audit::search(&cluster.config("a"), &["--key-id", &kid.to_hex()]).unwrap()[0].event["actor"]
        ["credential"]
        .as_str()
        .unwrap()
        .to_owned();
    let done =
        audit::search(&cluster.config("c"), &["--credential", &credential, "--outcome", "done"]).unwrap();
    assert_eq!(done.len(), 4, "{done:?}");

    // Page by page it is the same.
    let kid_text = kid.to_string();
    let filter = ["--key-id", kid_text.as_str(), "--outcome", "done"];
    let (mut mark, mut seen) = (None, Vec::new());
    for _ in 0..10 {
        let mut args = [&filter[..], &["--limit", "1", "--output", "json"]].concat();
        args.extend(mark.as_deref().map(|mark| ["--after", mark]).into_iter().flatten());
        let page: Value = serde_json::from_str(&search(&cluster, "a", &args).out).unwrap();
        seen.extend(page["events"].as_array().unwrap().iter().map(|event| event["node"].as_u64().unwrap()));
        mark = page["next"].as_str().map(str::to_owned);
        if mark.is_none() {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3]);
    let csv = search(&cluster, "a", &[&filter[..], &["--output", "csv"]].concat());
    assert_eq!(csv.out.lines().filter(|line| line.contains(&kid_text)).count(), 3, "{csv:?}");
    let tail = cluster.run(&["audit", "tail", "--lines", "3", "--config", &cluster.config("a")]).unwrap();
    assert_eq!((tail.code, tail.out.lines().count()), (Some(0), 4), "{tail:?}");

    // What is not there is no mistake, and a mistake is named.
    assert!(search(&cluster, "a", &["--content", "no-such-film"]).err.contains("nothing was found"));
    for (wrong, said) in
        [("--key-id=abc", "hexadecimal"), ("--from=yesterday", "RFC 3339"), ("--outcome=good", "not_found")]
    {
        let refused = search(&cluster, "a", &[wrong]);
        assert_eq!(refused.code, Some(64), "{refused:?}");
        assert!(refused.err.contains(said), "{refused:?}");
    }
    assert_eq!(search(&cluster, "a", &["--after", "x"]).code, Some(64));

    // The node that is down takes what happened there with it, and the answer says how much at least.
    wait_until("the third log to be cosigned", WITHIN, || {
        let logs = cluster.must(&["audit", "logs", "--config", &cluster.config("a")])?.out;
        let row = logs.lines().find(|line| line.starts_with("3/")).unwrap_or_default();
        let cells: Vec<&str> = row.split_whitespace().collect();
        if cells.len() > 3 && cells[2] == cells[3] { Ok(()) } else { Err(RigError::Answer(logs)) }
    })
    .unwrap();
    cluster.kill("c").unwrap();
    let lost = search(&cluster, "a", &filter);
    assert_eq!(lost.code, Some(0), "{lost:?}");
    assert_eq!(lost.out.lines().count(), 3, "{lost:?}");
    assert!(
        lost.err.contains("of the audit log 3/") && lost.err.contains("node 3 does not answer"),
        "{lost:?}"
    );
}

/// Adds an operator of each role, by the first one.
fn with_operators(cluster: &Grown, roles: &[&str]) {
    operators::add(cluster, "root", "security", &["--by-keyring"], None);
    wait_until("the first operator to be known", WITHIN, || {
        operators::operator(cluster, "a", Some("root"), &["whoami"])?.succeeded()
    })
    .unwrap();
    for role in roles {
        operators::add(cluster, role, role, &[], Some("root"));
    }
}

#[test]
fn at_a_node_that_is_cut_off_the_audit_is_read_for_as_long_as_accounts_are_served_there() {
    let mut cluster = Grown::begin("").unwrap();
    cluster.join("b", "a", "", &[]).unwrap();
    cluster.await_voters("a", 2).unwrap();
    with_operators(&cluster, &["auditor"]);
    let (admin, file) =
        (format!("1={}", cluster.node("a").admin), cluster.path("auditor.pem").display().to_string());
    cluster.kill("b").unwrap();
    let search = ["audit", "search", "--limit", "5", "--admin", &admin, "--operator", &file];
    wait_until("the audit to be read without a quorum", WITHIN, || {
        let found = cluster.run(&search)?;
        match found.code == Some(0) && found.err.contains("node 2 does not answer") {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{found:?}"))),
        }
    })
    .unwrap();
    cluster.stop("a").unwrap();
    // Its last contact was longer ago than that.
    cluster.serve_with("a", &[("KEYMOOT__AUTH__CUT_OFF_GRANTS_S", "1")]).unwrap();
    wait_until("the audit to be closed", WITHIN, || {
        let refused = cluster.run(&search)?;
        match refused.code != Some(0) && refused.err.contains("cut off from the quorum for") {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{refused:?}"))),
        }
    })
    .unwrap();
    // How the node is, operators learn all the same.
    let status = cluster.run(&["cluster", "status", "--admin", &admin, "--operator", &file]).unwrap();
    assert!(status.out.contains("grown"), "{status:?}");
}

#[test]
fn a_log_that_ended_is_searched_verified_and_copied_with_the_one_after_it() {
    let mut cluster = Grown::begin("").unwrap();
    let config = cluster.config("a");
    let logs = || -> Result<Vec<Value>, RigError> {
        let said =
            cluster_tests::operator::keymoot(&["audit", "logs", "--output", "json", "--config", &config])?;
        let logs: Value =
            serde_json::from_str(&said.out).map_err(|error| RigError::Answer(error.to_string()))?;
        Ok(logs["logs"].as_array().cloned().unwrap_or_default())
    };
    let await_logs = |count: usize| {
        wait_until("the logs to be known", WITHIN, || match logs()? {
            logs if logs.len() == count && logs.iter().all(|log| log["checkpoints"][0].is_object()) => {
                Ok(logs)
            }
            other => Err(RigError::Answer(format!("{other:#?}"))),
        })
        .unwrap()
    };
    cluster.signer().create(cluster.node("a").api, "film").unwrap();
    await_logs(1);
    // Its checkpoint is damaged, so it cannot go on.
    cluster.stop("a").unwrap();
    let checkpoint = cluster.dir("a").join("data/audit/checkpoint");
    let text = std::fs::read_to_string(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &text[..text.len() / 2]).unwrap();
    cluster.serve("a").unwrap();
    wait_until("the key to be read", WITHIN, || cluster.signer().read(cluster.node("a").api, "film"))
        .unwrap();
    let known = await_logs(2);
    let (old, new) = (&known[0], &known[1]);
    assert_eq!(
        (&new["before"]["name"], &old["followed_by"]),
        (&old["name"], &new["name"]["log"]),
        "{known:#?}"
    );
    assert!(old["held"]["ended"] == true && old["held"]["at"] == 1, "{old:#}");
    // Who got the key is one question to both, in both orders, and nothing is missing.
    let filter = ["--content", "film", "--outcome", "done"];
    let told = audit::search(&config, &filter).unwrap();
    let actions: Vec<&str> = told.iter().map(|told| told.text("action")).collect();
    assert_eq!(actions, ["key.create", "key.read"]);
    assert_ne!(told[0].place.0, told[1].place.0);
    let newest = audit::search(&config, &[&filter[..], &["--newest-first"]].concat()).unwrap();
    assert_eq!(newest.iter().map(|told| told.text("action")).collect::<Vec<_>>(), ["key.read", "key.create"]);
    let both = search(&cluster, "a", &filter);
    assert!(!both.err.contains("not in this answer"), "{both:?}");
    let whole = cluster.run(&["audit", "verify", "--config", &config]).unwrap();
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert_eq!(whole.out.matches("whole: audit log 1/").count(), 2, "{whole:?}");
    let out = cluster.path("copy").display().to_string();
    cluster.run(&["audit", "export", "--out", &out, "--config", &config]).unwrap().succeeded().unwrap();
    let copied = cluster.run(&["audit", "verify", "--files", &out]).unwrap();
    assert_eq!((copied.code, copied.out.matches("whole: audit log 1/").count()), (Some(0), 2), "{copied:?}");
    // What somebody changes in it is found.
    let ended =
        std::fs::read_dir(cluster.dir("a").join("data/audit/ended")).unwrap().next().unwrap().unwrap().path();
    let changed = audit::forge(&ended, "\"film\"", "\"filn\"").unwrap();
    assert!(changed > 0);
    let broken = cluster.run(&["audit", "verify", "--config", &config]).unwrap();
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(
        broken.err.contains(&format!("audit log 1/{}", old["name"]["log"].as_str().unwrap())),
        "{broken:?}"
    );
}

#[test]
fn an_auditor_reads_the_audit_over_the_admin_api_and_that_is_an_event_and_a_viewer_does_not() {
    let cluster = Grown::begin("").unwrap();
    wait_until("a key to be made", WITHIN, || cluster.signer().create(cluster.node("a").api, "film"))
        .unwrap();
    with_operators(&cluster, &["auditor", "viewer"]);
    let (admin, out) = (format!("1={}", cluster.node("a").admin), cluster.path("copy").display().to_string());
    let ask = |who: &str, args: &[&str]| {
        let file = cluster.path(&format!("{who}.pem")).display().to_string();
        cluster.run(&[&["audit"][..], args, &["--admin", &admin, "--operator", &file]].concat()).unwrap()
    };
    let found = ask("auditor", &["search", "--content", "film", "--output", "json"]);
    let page: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(page["events"][0]["event"]["action"], "key.create", "{found:?}");
    let refused = ask("viewer", &["search", "--content", "film"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.err.contains("security or auditor"), "{refused:?}");
    wait_until("the log to be known and whole", WITHIN, || ask("auditor", &["verify"]).succeeded()).unwrap();
    assert_eq!(ask("auditor", &["export", "--out", &out]).code, Some(0));
    let again = ask("auditor", &["export", "--out", &out]);
    assert!(again.err.contains("name a directory that does not exist yet"), "{again:?}");

    let told = audit::search(&cluster.config("a"), &["--by", "auditor"]).unwrap();
    let searches: Vec<_> = told.iter().filter(|told| told.text("object").contains("content=film")).collect();
    assert_eq!(searches.len(), 1, "{told:?}");
    assert!(told.iter().any(|told| told.text("object").starts_with("log=1/")), "{told:?}");
    let refused = audit::search(&cluster.config("a"), &["--by", "viewer", "--outcome", "refused"]).unwrap();
    assert_eq!(refused.len(), 1, "{refused:?}");

    // The copy is verified with the keys that lie in it, and by those that the cluster has.
    let keys = cluster.path("copy/keys.txt").display().to_string();
    let whole = ask("auditor", &["verify", "--keys", &keys]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let offline =
        |more: &[&str]| cluster.run(&[&["audit", "verify", "--files", &out][..], more].concat()).unwrap();
    assert_eq!(offline(&[]).code, Some(0), "{:?}", offline(&[]));
    let other = cluster.path("other.txt");
    let text = std::fs::read_to_string(&keys).unwrap();
    let key: keymoot_audit::VerifierKey = text.trim().parse().unwrap();
    let forged = keymoot_audit::VerifierKey::new(key.name(), [7; 32]).unwrap();
    std::fs::write(&other, format!("{forged}\n")).unwrap();
    let broken = ask("auditor", &["verify", "--keys", &other.display().to_string()]);
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(broken.out.contains("another key signs it"), "{broken:?}");
    let offline = offline(&["--keys", &other.display().to_string()]);
    assert_eq!(offline.code, Some(1), "{offline:?}");
    assert!(offline.out.contains("is not sound"), "{offline:?}");
}
