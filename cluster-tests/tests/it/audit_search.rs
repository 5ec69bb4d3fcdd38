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

#[test]
fn an_auditor_reads_the_audit_over_the_admin_api_and_that_is_an_event_and_a_viewer_does_not() {
    let cluster = Grown::begin("").unwrap();
    wait_until("a key to be made", WITHIN, || cluster.signer().create(cluster.node("a").api, "film"))
        .unwrap();
    operators::add(&cluster, "root", "security", &["--by-keyring"], None);
    wait_until("the first operator to be known", WITHIN, || {
        operators::operator(&cluster, "a", Some("root"), &["whoami"])?.succeeded()
    })
    .unwrap();
    for role in ["auditor", "viewer"] {
        operators::add(&cluster, role, role, &[], Some("root"));
    }
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
    assert!(offline.out.contains("is not signed by its key"), "{offline:?}");
}
