//! Where the cluster says so, one operator asks and another one approves, at any node: nothing is done on one person's word,
//! whichever credential or door is tried.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::audit;
use cluster_tests::operator::CommandOutput;
use cluster_tests::wait::wait_until;
use cluster_tests::{Grown, RigError};
use serde_json::json;

use super::operators::{add, await_admin, client, operator, pem, send};

/// Runs a command on a node as the operator of this credential; without one, as the first operator.
fn run(cluster: &Grown, at: &str, who: Option<&str>, args: &[&str]) -> CommandOutput {
    let config = cluster.config(at);
    let file = pem(cluster, who.unwrap_or("admin")).display().to_string();
    let mut all = args.to_vec();
    all.extend(["--config", &config, "--operator", &file]);
    cluster.run(&all).unwrap()
}

fn must(cluster: &Grown, at: &str, who: Option<&str>, args: &[&str]) -> String {
    run(cluster, at, who, args).succeeded().unwrap()
}

/// The approval that a command waits for, as its hint says it: the second person types that.
fn waits(said: &CommandOutput) -> Vec<String> {
    assert!(said.code == Some(1) && said.err.contains("this takes two persons"), "{said:?}");
    let typed = said.err.split("keymoot ").find(|rest| rest.starts_with("approval approve ")).unwrap();
    typed.split(';').next().unwrap().split(' ').map(str::to_owned).collect()
}

/// Approves what a command waits for, as its hint says.
fn approve(cluster: &Grown, at: &str, who: &str, said: &CommandOutput) -> CommandOutput {
    let typed = waits(said);
    run(cluster, at, Some(who), &typed.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The first operator, `admin`, has every role; `rita` has security, `kim` key-admin.
fn with_operators(cluster: &Grown) {
    await_admin(cluster);
    add(cluster, "rita", "security", &[], None);
    add(cluster, "kim", "key-admin", &[], None);
}

#[test]
fn an_account_with_keys_is_removed_by_two_at_any_node_and_by_no_other_way() {
    let cluster = Grown::begin_three(["", "", ""], &[]).unwrap();
    with_operators(&cluster);
    cluster.signer().create(cluster.node("a").api, "film").unwrap();
    let said = must(&cluster, "a", None, &["approval", "require", "--act", "remove-account"]);
    assert!(said.contains("two persons, within 1day: remove-account"), "{said}");
    assert_eq!(must(&cluster, "c", Some("kim"), &["approval", "rule"]), said);

    // One asks, and may ask again.
    let remove = ["account", "remove", "demo", "--yes"];
    let asked = run(&cluster, "a", None, &remove);
    assert_eq!(waits(&asked), ["approval", "approve", "1"]);
    assert!(asked.err.contains("with the role key-admin or security"), "{asked:?}");
    assert_eq!(waits(&run(&cluster, "b", None, &remove)), waits(&asked));
    let list = must(&cluster, "b", Some("kim"), &["approval", "list"]);
    assert!(
        list.contains("remove account demo") && list.contains("waits for key-admin or security"),
        "{list}"
    );

    // Two credentials of one person are one person, and a role that may not is none.
    let second = pem(&cluster, "admin2").display().to_string();
    operator(&cluster, "a", None, &["certificate", "admin", "--out", &second]).unwrap().succeeded().unwrap();
    let same = approve(&cluster, "b", "admin2", &asked);
    assert!(same.code == Some(1) && same.err.contains("who asked cannot approve"), "{same:?}");
    // The keyring is nobody's name.
    let config = std::fs::read_to_string(cluster.config("a")).unwrap();
    let bare = cluster.dir("a").join("bare.toml");
    std::fs::write(&bare, config.replace("credential_file = \"operator.pem\"\n", "")).unwrap();
    let bare = bare.display().to_string();
    let said = cluster.run(&[&remove[..], &["--config", &bare]].concat()).unwrap();
    assert!(said.code == Some(1) && said.err.contains("pass --operator FILE"), "{said:?}");
    // Nor does whoever adds an operator by it get a second one.
    let eve = pem(&cluster, "eve").display().to_string();
    let args =
        ["operator", "add", "eve", "--role", "security", "--by-keyring", "--out", &eve, "--config", &bare];
    cluster.must(&args).unwrap();
    let said = approve(&cluster, "a", "eve", &asked);
    assert!(said.code == Some(1) && said.err.contains("nobody's second person"), "{said:?}");
    let own = pem(&cluster, "own").display().to_string();
    let said = operator(&cluster, "a", None, &["add", "own", "--role", "key-admin", "--out", &own]).unwrap();
    waits(&said);
    assert!(must(&cluster, "a", None, &["account", "list"]).contains("demo"));

    // Another one approves at another node, and it is done at a third.
    let said = approve(&cluster, "c", "kim", &asked).succeeded().unwrap();
    assert!(said.contains("remove account demo") && said.contains("operator admin goes on"), "{said}");
    let other = run(&cluster, "b", Some("kim"), &remove);
    assert_ne!(waits(&other), waits(&asked), "what admin asked for is not kim's to use");
    must(&cluster, "b", None, &remove);
    assert!(!must(&cluster, "a", None, &["account", "list"]).contains("demo"));
    let done = ["--action", "admin.RemoveAccount", "--outcome", "done"];
    let told = audit::search_settled(&cluster.config("b"), &done).unwrap();
    let [event] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((event.node, event.actor(), event.text("reason")), (2, "admin", "approved by kim"));
    let shown = must(&cluster, "c", None, &["approval", "show", "1"]);
    assert!(shown.contains("admin") && shown.contains("kim") && shown.contains("used"), "{shown}");
}

#[test]
fn keys_are_exported_where_two_opened_it_and_only_that_account_for_that_time() {
    let cluster = Grown::begin("").unwrap();
    with_operators(&cluster);
    cluster.signer().create(cluster.node("a").api, "film").unwrap();
    let body = json!({
        "export": 1, "method": "POST", "ca_system": "OVP", "account_id": "demo", "recipient": STANDARD.encode([9; 32]),
    });
    let export = || {
        let answer =
            cluster.signer().send(cluster.node("a").api, "POST", "/export", body.to_string().as_bytes());
        let answer = answer.unwrap();
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    assert_eq!(export().0, 200, "{:?}", export());
    must(&cluster, "a", Some("rita"), &["approval", "require", "--act", "export-keys", "--within", "1h"]);
    let (status, said) = export();
    assert!(status == 401 && said.contains("keymoot account open-export demo"), "{status} {said}");
    let open = ["account", "open-export", "demo", "--for", "3s"];
    let asked = run(&cluster, "a", Some("rita"), &open);
    let said = approve(&cluster, "a", "kim", &asked);
    assert!(said.code == Some(1) && said.err.contains("nobody's second person"), "{said:?}");
    let typed = waits(&asked);
    must(&cluster, "a", None, &typed.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(export().0, 401, "approved, and not opened yet");
    waits(&run(&cluster, "a", Some("rita"), &["account", "open-export", "demo", "--for", "1d"]));
    must(&cluster, "a", Some("rita"), &open);
    assert_eq!(export().0, 200, "{:?}", export());
    waits(&run(&cluster, "a", Some("rita"), &open));
    // Its time must pass.
    cluster_tests::wait::pause(Duration::from_secs(4)).unwrap();
    assert_eq!(export().0, 401);
}

#[test]
fn what_takes_two_is_weakened_by_two_and_an_approval_can_be_refused() {
    let mut cluster = Grown::begin("").unwrap();
    await_admin(&cluster);
    // One alone cannot demand what nobody could give.
    let require = ["approval", "require", "--act", "remove-account", "--act", "remove-master-key"];
    let said = run(&cluster, "a", None, &require);
    assert!(said.code == Some(1) && said.err.contains("keymoot operator add makes another"), "{said:?}");
    with_operators(&cluster);
    must(&cluster, "a", None, &require);
    let said = run(&cluster, "a", None, &["approval", "require", "--act", "fly"]);
    assert!(said.code == Some(64) && said.err.contains("remove-master-key"), "{said:?}");

    let less = ["approval", "require", "--nothing"];
    let asked = run(&cluster, "a", None, &less);
    let [_, _, id] = &waits(&asked)[..] else { panic!("{asked:?}") };
    let said = must(&cluster, "a", Some("rita"), &["approval", "withdraw", id]);
    assert!(said.contains("withdrawn: let one person do everything"), "{said}");
    let said = approve(&cluster, "a", "rita", &asked);
    assert!(said.code == Some(1) && said.err.contains("it has ended"), "{said:?}");
    // Neither a restart nor a setting of the node changes it.
    cluster.stop("a").unwrap();
    cluster.serve("a").unwrap();
    cluster.await_status("the node to lead", |status| status.contains("leader")).unwrap();
    let asked = run(&cluster, "a", None, &less);

    // A master key is removed by two; the keyring of the node alone does not.
    let ring = cluster.keyring();
    must(&cluster, "a", None, &["account", "list"]);
    cluster.must(&["keyring", "add", &ring]).unwrap();
    must(&cluster, "a", None, &["keyring", "activate", &ring, "mk2"]);
    wait_until("the node to wrap under the next master key", Duration::from_secs(10), || {
        match must(&cluster, "a", None, &["keyring", "rewrap"]).contains("put under mk2") {
            true => Ok(()),
            false => Err(RigError::Answer("under mk1".into())),
        }
    })
    .unwrap();
    let removal = ["keyring", "remove", &ring, "mk1"];
    let config = std::fs::read_to_string(cluster.config("a")).unwrap();
    let bare = cluster.dir("a").join("bare.toml");
    std::fs::write(&bare, config.replace("credential_file = \"operator.pem\"\n", "")).unwrap();
    let said = cluster.run(&[&removal[..], &["--config", &bare.display().to_string()]].concat()).unwrap();
    assert!(said.code == Some(1) && said.err.contains("takes two persons"), "{said:?}");
    let waiting = run(&cluster, "a", None, &removal);
    assert!(cluster.must(&["keyring", "list", &ring]).unwrap().out.contains("mk1"));
    approve(&cluster, "a", "rita", &waiting).succeeded().unwrap();
    must(&cluster, "a", None, &removal);
    assert!(!cluster.must(&["keyring", "list", &ring]).unwrap().out.contains("mk1"));

    approve(&cluster, "a", "rita", &asked).succeeded().unwrap();
    let said = must(&cluster, "a", None, &less);
    assert!(said.contains("nothing takes two persons"), "{said}");
    must(&cluster, "a", None, &["account", "remove", "demo", "--yes"]);
}

#[test]
fn what_waits_is_said_with_its_number_and_whoever_asked_or_approved_and_was_revoked_counts_for_nothing() {
    let cluster = Grown::begin("").unwrap();
    with_operators(&cluster);
    cluster.signer().create(cluster.node("a").api, "film").unwrap();
    must(&cluster, "a", None, &["approval", "require", "--act", "remove-account"]);
    let agent = client(cluster.node("a").admin, &cluster.dir("a").join("ca.pem"), &[&pem(&cluster, "kim")]);
    let (status, answer) = send(&agent, 1, "post", "/v1/accounts/remove", &json!({ "id": "demo" })).unwrap();
    assert_eq!((status, &answer["approval"]), (409, &json!(1)), "{answer}");
    assert!(answer["remedy"].as_str().unwrap().contains("keymoot approval approve 1"), "{answer}");
    must(&cluster, "a", Some("rita"), &["approval", "approve", "1"]);
    operator(&cluster, "a", None, &["revoke", "rita"]).unwrap().succeeded().unwrap();
    let (status, answer) = send(&agent, 1, "post", "/v1/accounts/remove", &json!({ "id": "demo" })).unwrap();
    assert_eq!((status, &answer["approval"]), (409, &json!(1)), "the approval of who was revoked: {answer}");
    must(&cluster, "a", None, &["approval", "approve", "1"]);
    let (status, answer) = send(&agent, 1, "post", "/v1/accounts/remove", &json!({ "id": "demo" })).unwrap();
    assert_eq!(status, 200, "{answer}");
}
