//! What is signed for one thing opens no other: every endpoint is asked, by every method, with what was signed for
//! each of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::policy::{self, Account};
use cluster_tests::raw::{self, Answer, percent_encode};
use cluster_tests::signed::{COMMON, WIDEVINE};
use cluster_tests::{Cluster, RigError, Signer, license, operator};
use serde_json::{Value, json};

use super::published_api::OPEN;

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const CLEAR_KEY: &str = "/cenc/clearkey/license";
const KID: &str = "b3c5b1f0-5a0f-4c3d-9d0e-2f6a7f1c8e11";

/// A method and a path.
type Operation<'o> = (&'o str, &'o str);

/// What was signed, and for what.
struct Signed {
    method: &'static str,
    path: &'static str,
    signer: Signer,
    data: Vec<u8>,
}

fn ask(node: SocketAddr, request: &[u8]) -> Answer {
    // The answer to a bulk request is streamed.
    let is_bulk = request.starts_with(b"POST /bulk");
    let exchange = if is_bulk { raw::exchange_streamed } else { raw::exchange };
    exchange(node, request, raw::ANSWER_WITHIN).unwrap()
}

fn account_data(signer: &Signer, members: Value) -> Vec<u8> {
    let mut data = json!({ "ca_system": signer.ca_system, "account_id": signer.account_id });
    data.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    data.to_string().into_bytes()
}

/// What each endpoint has signed for it, by SHA-1, by each of its methods.
fn all_signed(account: &Account) -> Vec<Signed> {
    let Account { scrambler, player, keeper } = account;
    let mut all = Vec::new();
    let mut sign = |method: &'static str, path: &'static str, signer: &Signer, members: Value| {
        let mut members = members;
        members["method"] = json!(method);
        let data = account_data(signer, members);
        all.push(Signed { method, path, signer: signer.clone(), data });
    };
    let film = || json!({ "content_id": "film", "files": "" });
    let periods =
        || json!({ "content_id": "live", "crypto_period_seconds": "60", "first_crypto_period_index": "0" });
    for method in METHODS {
        sign(method, WIDEVINE, scrambler, film());
    }
    for method in ["GET", "POST", "PUT"] {
        sign(method, "/cenc/widevine/schedule", scrambler, periods());
    }
    sign("GET", "/hls/keyinfo", scrambler, film());
    sign("POST", "/bulk", scrambler, json!({ "bulk": 1, "keys": true }));
    let recipient = STANDARD.encode([9; 32]);
    sign("POST", "/export", scrambler, json!({ "export": 1, "content_id": "film", "recipient": recipient }));
    sign("POST", CLEAR_KEY, player, film());
    sign("GET", "/hls/key/{kid}", player, film());
    let document = json!({ "policy": { "name": "hd", "license_duration_seconds": 60 } });
    let replacing = json!({ "policy": { "name": "hd", "license_duration_seconds": 90 }, "replaces": 1 });
    sign("GET", "/policy", keeper, json!({}));
    sign("GET", "/policy/{name}", keeper, json!({}));
    sign("POST", "/policy", keeper, document.clone());
    sign("POST", "/policy/{name}", keeper, document);
    sign("PUT", "/policy/{name}", keeper, replacing);
    sign("DELETE", "/policy/{name}", keeper, json!({ "policy": "hd", "replaces": 2 }));
    for method in ["PUT", "DELETE"] {
        sign(method, "/policy/{name}/content", keeper, json!({ "policy": "hd", "content_id": "film" }));
        sign(method, "/policy/{name}/default", keeper, json!({ "policy": "hd" }));
    }
    all
}

/// Why what was signed for one operation opens another, too; nothing else does.
fn allowed(from: Operation<'_>, to: Operation<'_>) -> Option<&'static str> {
    let of =
        |kind: &str, operations: &[Operation<'_>]| operations.iter().all(|(_, path)| path.ends_with(kind));
    if from.0 != to.0 {
        return None;
    }
    match from.0 {
        _ if of("/encryption", &[from, to]) => Some("a content has one key, in whatever system's form"),
        _ if of("/schedule", &[from, to]) => Some("a period has one key, in whatever system's form"),
        "GET" | "POST" if of("/schedule", &[from]) && of("/encryption", &[to]) => {
            Some("uDRM lets unknown members pass, and whoever gets a content's periods may get its key")
        }
        "GET" if of("/encryption", &[from]) && of("/schedule", &[to]) => {
            Some("it lists schedules, and no key")
        }
        "GET" if of("/keyinfo", &[from]) && (of("/encryption", &[to]) || of("/schedule", &[to])) => {
            Some("key-info has the custom data of a GET")
        }
        "GET" if (of("/encryption", &[from]) || of("/schedule", &[from])) && of("/keyinfo", &[to]) => {
            Some("a GET has the custom data of key-info")
        }
        "POST" if of("/license", &[from, to]) => {
            Some("a viewer is entitled to a content, in whatever system")
        }
        "GET" | "POST" if from.1.starts_with("/policy") && to.1.starts_with("/policy") => Some(
            "a list of policies and one of them are read by one right; a new one is named in what is signed",
        ),
        _ => None,
    }
}

/// Every path of the published document that somebody has to prove something for, and those of packagers.
fn paths(node: SocketAddr) -> Vec<String> {
    let document = ask(node, &raw::request("GET", "/openapi.json", &[], &[]));
    let document: Value = serde_json::from_slice(&document.body).unwrap();
    let all = document["paths"].as_object().unwrap().keys().cloned();
    all.filter(|path| !OPEN.contains(&path.as_str())).collect()
}

/// Requests that show what was signed at this endpoint, wherever it looks for it.
fn shown(signed: &Signed, (method, path): Operation<'_>) -> Vec<Vec<u8>> {
    let path = path.replace("{name}", "hd").replace("{kid}", KID).replace("{account}", "studio");
    let signature = percent_encode(&signed.signer.signature(&signed.data));
    let text = percent_encode(&STANDARD.encode(&signed.data));
    let in_query = format!("{path}?custom_data={text}&signature={signature}");
    let by_query = || raw::request(method, &in_query, &[], &[]);
    let mut headers = vec![("Connection", "close")];
    // Without it a document is refused before anybody asks whose it is.
    headers.extend(path.starts_with("/speke/v2.0/").then_some(("X-Speke-Version", "2.0")));
    let by_body = || raw::request(method, &format!("{path}?signature={signature}"), &headers, &signed.data);
    match method {
        "GET" => vec![by_query()],
        "DELETE" => vec![by_query(), by_body()],
        _ if path.ends_with("/license") => vec![by_query()],
        _ => vec![by_body()],
    }
}

/// Whether the answer gives or does what was asked for.
fn opens(path: &str, answer: &Answer) -> bool {
    if path.contains("getcontentkey") {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let inner = body["response"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        return String::from_utf8_lossy(&inner).contains("\"OK\"");
    }
    ![400, 401].contains(&answer.status)
}

#[test]
fn what_was_signed_for_one_endpoint_and_method_is_refused_by_each_other_one() {
    let (options, _entitled) = license::entitling(&["studio"]).unwrap();
    let cluster = options.start().unwrap();
    let account = policy::add_account(&cluster, "studio", &[]).unwrap();
    let node = cluster.addresses()[0];
    let key = account.scrambler.create(node, "film").unwrap();
    let paths = paths(node);
    let all = all_signed(&account);
    let (mut opened, mut reasons) = (BTreeSet::new(), BTreeMap::<_, BTreeSet<String>>::new());
    for signed in &all {
        let from = (signed.method, signed.path);
        for to in paths.iter().flat_map(|path| METHODS.map(|method| (method, path.as_str()))) {
            if from == to {
                continue;
            }
            let reason = allowed(from, to);
            // Nothing is carried out that would change what the others find.
            if reason.is_some() && ["PUT", "DELETE"].contains(&to.0) {
                continue;
            }
            for request in shown(signed, to) {
                let answer = ask(node, &request);
                let pair = format!("{} {} at {} {}: {}", from.0, from.1, to.0, to.1, answer.status);
                match (opens(to.1, &answer), reason) {
                    (true, Some(reason)) => drop(reasons.entry(reason).or_default().insert(pair)),
                    (true, None) => drop(opened.insert(pair)),
                    (false, _) if answer.text().contains(&key.key) => drop(opened.insert(pair)),
                    (false, _) => {}
                }
            }
        }
    }
    assert!(opened.is_empty(), "{opened:#?}");
    assert!(reasons.len() >= 6, "each allowance is made use of: {reasons:#?}");
    assert_eq!(account.scrambler.read(node, "film").unwrap(), key, "nothing was deleted or replaced");
    // And each opens what it was signed for.
    let order = |signed: &&Signed| METHODS.iter().position(|method| *method == signed.method);
    let mut in_order: Vec<&Signed> = all.iter().collect();
    in_order.sort_by_key(order);
    in_order.sort_by_key(|signed| (signed.path.starts_with("/policy"), order(signed) == Some(0)));
    for signed in in_order {
        if signed.path.ends_with("/license") || signed.path.starts_with("/hls/key/") {
            continue;
        }
        let own = (signed.method, signed.path);
        // Of policies: made, changed, attached and detached, default and no longer, and deleted last.
        if own == ("DELETE", "/policy/{name}") {
            continue;
        }
        let answer = ask(node, shown(signed, own).last().unwrap());
        let is_gone = own.0 == "GET" && answer.status == 404;
        assert!(answer.status == 200 || is_gone, "{own:?}: {}", answer.text());
    }
    let last =
        all.iter().find(|signed| (signed.method, signed.path) == ("DELETE", "/policy/{name}")).unwrap();
    let answer = ask(node, shown(last, (last.method, last.path)).last().unwrap());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn set(cluster: &Cluster, sha1: &str) {
    let config = cluster.nodes()[0].config();
    let set = operator::keymoot(&["account", "set", "studio", "--sha1", sha1, "--config", &config]).unwrap();
    set.succeeded().unwrap();
}

/// Sends what a path takes as its body.
fn post(signer: &Signer, node: SocketAddr, path: &str, data: &[u8]) -> (u16, String) {
    let target = format!("{path}?signature={}", percent_encode(&signer.signature(data)));
    let answer = ask(node, &raw::request("POST", &target, &[("Connection", "close")], data));
    (answer.status, answer.text())
}

fn status_of(answer: Result<Answer, RigError>) -> (u16, String) {
    let answer = answer.unwrap();
    (answer.status, answer.text())
}

#[test]
fn policies_bulk_requests_and_exports_by_sha1_name_their_method_and_what_they_replace() {
    let cluster = Cluster::start().unwrap();
    let account = policy::add_account(&cluster, "studio", &[]).unwrap();
    let Account { scrambler, keeper, .. } = &account;
    let node = cluster.addresses()[0];
    scrambler.create(node, "film").unwrap();
    let recipient = STANDARD.encode([9; 32]);
    let bare = [
        ("/bulk", account_data(scrambler, json!({ "bulk": 1 }))),
        ("/export", account_data(scrambler, json!({ "export": 1, "recipient": recipient }))),
    ];
    let lax = json!({ "policy": { "name": "hd", "license_duration_seconds": 86400 } });
    let send = |method, path, members: &Value| {
        status_of(policy::send_as_it_is(node, keeper, (method, path), members, &[]))
    };
    let refused = |(status, said): (u16, String), word: &str| {
        assert!(status == 401 && said.contains(word) && said.contains("RFC 9421"), "{status}: {said}");
    };
    for (path, data) in &bare {
        refused(post(scrambler, node, path, data), "the member \\\"method\\\"");
    }
    refused(send("GET", "/policy", &json!({})), "method");
    refused(send("POST", "/policy", &lax), "method");
    let with = |members: &Value, more: Value| {
        let mut members = members.clone();
        members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        members
    };
    let create = with(&lax, json!({ "method": "POST" }));
    assert_eq!(send("POST", "/policy", &create).0, 200);
    let strict = json!({ "policy": { "name": "hd", "license_duration_seconds": 60 }, "method": "PUT" });
    refused(send("PUT", "/policy/hd", &strict), "replaces");
    assert_eq!(send("PUT", "/policy/hd", &with(&strict, json!({ "replaces": 1 }))).0, 200);
    // What was seen before brings the lax policy back by no method.
    for method in ["PUT", "DELETE"] {
        assert_eq!(send(method, "/policy/hd", &create).0, 400, "{method}");
    }
    let lax_put = with(&lax, json!({ "method": "PUT", "replaces": 2 }));
    assert_eq!(send("PUT", "/policy/hd", &lax_put).0, 200, "once, by whoever may");
    assert_eq!(send("PUT", "/policy/hd", &with(&strict, json!({ "replaces": 3 }))).0, 200);
    let (status, said) = send("PUT", "/policy/hd", &lax_put);
    assert!(status == 400 && said.contains("version 4"), "{said}");
    refused(send("DELETE", "/policy/hd", &json!({ "policy": "hd", "method": "DELETE" })), "replaces");

    // An account from before goes on, and is named.
    set(&cluster, "unbound");
    for (path, data) in &bare {
        assert_eq!(post(scrambler, node, path, data).0, 200, "{path}");
    }
    assert_eq!(send("GET", "/policy", &json!({})).0, 200);
    let config = cluster.nodes()[0].config();
    let status = operator::keymoot(&["cluster", "status", "--config", &config]).unwrap().succeeded().unwrap();
    assert!(status.contains("studio") && status.contains("--sha1 bound"), "{status}");
    let doctor = operator::keymoot(&["doctor", "--config", &config]).unwrap();
    assert!(doctor.out.contains("--sha1 bound"), "{}{}", doctor.out, doctor.err);
    set(&cluster, "bound");
    let status = operator::keymoot(&["cluster", "status", "--config", &config]).unwrap().succeeded().unwrap();
    assert!(!status.contains("--sha1"), "{status}");
}

#[test]
fn a_signed_post_is_no_delete_where_it_names_its_method_or_the_account_takes_none() {
    let cluster = Cluster::start().unwrap();
    let account = policy::add_account(&cluster, "studio", &[]).unwrap();
    let (scrambler, node) = (&account.scrambler, cluster.addresses()[0]);
    let key = scrambler.create(node, "film").unwrap();
    let named = scrambler.custom_data("film", &[("method", "POST")]);
    for method in ["DELETE", "PUT", "GET"] {
        let (status, said) = status_of(scrambler.send(node, method, COMMON, &named));
        assert!(status == 400 && said.contains("opens no other"), "{method}: {said}");
    }
    assert_eq!(scrambler.send(node, "POST", COMMON, &named).unwrap().status, 200);
    set(&cluster, "no-changes");
    let bare = scrambler.custom_data("film", &[]);
    for method in ["DELETE", "PUT"] {
        let (status, said) = status_of(scrambler.send(node, method, COMMON, &bare));
        assert!(status == 401 && said.contains("no PUT and no DELETE"), "{method}: {said}");
        let own = scrambler.custom_data("film", &[("method", method)]);
        assert_eq!(scrambler.send(node, method, COMMON, &own).unwrap().status, 401, "{method}");
    }
    assert_eq!(scrambler.create(node, "film").unwrap(), key);
    // What uDRM has as it is: without a method in what is signed, and where the account takes them.
    set(&cluster, "bound");
    assert_eq!(scrambler.send(node, "DELETE", COMMON, &bare).unwrap().status, 200);
    assert_ne!(scrambler.create(node, "film").unwrap(), key);
}

#[test]
fn a_signing_key_that_can_be_guessed_is_refused() {
    let cluster = Cluster::start().unwrap();
    let file = cluster.dir().join("short.key");
    let config = cluster.nodes()[0].config();
    let credential = format!("short:encryption:udrm-sha1:{}", file.display());
    let add = ["account", "credential", "add", "demo", &credential, "--config", &config];
    for text in ["k", "0123456789abcde"] {
        cluster_tests::secret_file::write(&file, text).unwrap();
        let refused = operator::keymoot(&add).unwrap();
        assert!(refused.code != Some(0) && refused.err.contains("at least 16 bytes"), "{}", refused.err);
    }
    std::fs::remove_file(&file).unwrap();
    cluster_tests::secret_file::write(&file, "0123456789abcdef").unwrap();
    operator::keymoot(&add).unwrap().succeeded().unwrap();
}
