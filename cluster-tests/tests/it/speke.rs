//! SPEKE 1, 2.0 and 2.1 and plain CPIX, as encryptors speak them: any node answers a document alike, for whatever proves
//! the account, at the common paths and at the account's own; and what is refused is told in SPEKE's words.
//!
//! Requests are signed by curl, for SigV4 and Digest, and by code that was written from the RFC.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::raw::{self, Answer};
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, Options, RigError, search, secret_file};

use super::cpix_documents::{GOLDENS, encrypted_to, python, recipient};

/// The account and the secret of all its credentials.
const ACCOUNT: &str = "studio";
const SECRET: &str = "a secret of some length, for tests";
/// Its access key id.
const ACCESS_KEY: &str = "KMSTUDIO0000000001";
const V1: &str = "/speke/v1.0/copyProtection";
const V2: &str = "/speke/v2.0/copyProtection";

/// A cluster with the account.
fn start() -> Cluster {
    let options = Options::default()
        .env("KEYMOOT__LICENSE__CLEAR_KEY_ACCOUNTS", ACCOUNT)
        .env("KEYMOOT__AUTH__AUTHORITIES", "localhost, keymoot, keys.example.net");
    let cluster = options.start().unwrap();
    let file = cluster.dir().join("studio.key");
    secret_file::write(&file, SECRET).unwrap();
    let credential = |name: &str, scheme: &str| format!("{name}:encryption:{scheme}:{}", file.display());
    let credentials = [
        credential("pw", "basic"),
        credential("dg", "digest"),
        credential("msg", "http-hmac-sha256"),
        credential(ACCESS_KEY, "aws-sigv4"),
    ];
    let mut more: Vec<&str> = credentials.iter().flat_map(|one| ["--credential", one.as_str()]).collect();
    more.extend(["--aes128-uri", "https://keys.example.net/hls/key/{kid}"]);
    more.extend(["--speke-path", "/EkeStage/copyProtection", "--cpix-path", "/studio/cpix"]);
    cluster.add_account(ACCOUNT, &more).unwrap();
    cluster
}

fn golden(name: &str) -> String {
    std::fs::read_to_string(Path::new(GOLDENS).join(format!("{name}.request.xml"))).unwrap()
}

/// The document with key ids that no other has: a key id is one content's.
fn with_own_kids(document: &str, number: usize) -> String {
    let mut pieces = document.split("kid=\"");
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |document, piece| {
        let (head, rest) = piece.split_at(8);
        let rest = rest.strip_prefix('-').map(|rest| format!("-{number:04x}{}", &rest[4..]));
        format!("{document}kid=\"{head}{}", rest.unwrap_or_else(|| panic!("no GUID: {piece:.40}")))
    })
}

fn basic(account: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{account}:{password}")))
}

/// Asks with a password, and for SPEKE 2 with its version.
fn ask(node: SocketAddr, target: &str, version: Option<&str>, document: &str) -> Answer {
    let authorization = basic(&format!("{ACCOUNT}/pw"), SECRET);
    let mut headers = vec![("Authorization", authorization.as_str()), ("Content-Type", "application/xml")];
    headers.extend(version.map(|version| ("X-Speke-Version", version)));
    let method = if document.is_empty() { "GET" } else { "POST" };
    raw::exchange(node, &raw::request(method, target, &headers, document.as_bytes()), raw::ANSWER_WITHIN)
        .unwrap()
}

/// The whole body; `Answer::text` is for messages, and cut.
fn whole(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// PyPI `cpix` reads the answer, and finds what it refers to.
fn must_be_sound(answer: &Answer, dir: &Path) {
    let file = dir.join("answer.xml");
    std::fs::write(&file, &answer.body).unwrap();
    python(&["validate", file.to_str().unwrap()]);
}

/// The audit has an event of the account that names each key of a document.
fn must_be_audited(cluster: &Cluster, document: &str) {
    let found =
        cluster.command(1, &["audit", "search", "--account", ACCOUNT, "--all", "--output", "json"]).unwrap();
    let found = found.succeeded().unwrap();
    for kid in document.split("ContentKey ").skip(1).filter_map(|piece| piece.split("kid=\"").nth(1)) {
        let digits: String = kid.chars().take(36).filter(|digit| *digit != '-').collect();
        let bytes = base16ct::mixed::decode_vec(&digits).unwrap();
        assert!(found.contains(&STANDARD.encode(bytes)), "no event names {kid:.36}: {found:.2000}");
    }
}

#[test]
fn every_version_is_answered_alike_on_every_node_and_after_the_leader_died() {
    let mut cluster = start();
    let dir = tempfile::tempdir().unwrap();
    let documents = [
        ("speke-1-dash-smooth", V1, None),
        ("speke-1-fairplay", V1, None),
        ("speke-2.0-cenc-all-of-each-system", V2, Some("2.0")),
        ("speke-2.0-cbcs", V2, Some("2.0")),
        ("speke-2.0-rotation", V2, Some("2.0")),
        ("speke-2.1-two-contents", V2, Some("2.1")),
        ("cpix-2.3-composed", "/cpix/studio", None),
        ("cpix-2.0-odd-prefixes", "/cpix/studio", None),
    ];
    let nodes = cluster.addresses();
    let mut first = Vec::new();
    for (number, (name, path, version)) in documents.into_iter().enumerate() {
        let document = with_own_kids(&golden(name), number).replace("film-1", &format!("film-{name}"));
        let answers: Vec<Answer> = nodes.iter().map(|node| ask(*node, path, version, &document)).collect();
        for answer in &answers {
            assert_eq!(answer.status, 200, "{name}: {}", whole(answer));
            assert_eq!(answer.header("content-type"), Some("application/xml"), "{name}");
            assert_eq!(answer.header("x-speke-version"), version, "{name}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
            let agent = if path == V1 { "speke-user-agent" } else { "x-speke-user-agent" };
            assert_eq!(answer.header(agent).is_some(), path != "/cpix/studio", "{name}");
            assert!(search::contains(&answer.body, b":PlainValue>"), "{name}: {}", whole(answer));
            assert_eq!(whole(answer), whole(&answers[0]), "{name}");
        }
        must_be_sound(&answers[0], dir.path());
        must_be_audited(&cluster, &document);
        first.push((name, path, version, document, whole(&answers[0])));
    }
    let leader = cluster.leader().unwrap();
    let survivor = cluster.node(cluster.others(leader)[0]).unwrap().api;
    cluster.kill(leader).unwrap();
    for (name, path, version, document, answered) in first {
        let again =
            wait_until("an answer", raw::ANSWER_WITHIN, || match ask(survivor, path, version, &document) {
                answer if answer.status == 200 => Ok(answer),
                answer => Err(RigError::Answer(whole(&answer))),
            });
        assert_eq!(whole(&again.unwrap()), answered, "{name}");
    }
}

#[test]
fn a_document_by_parameters_has_the_keys_that_every_protocol_has() {
    let cluster = start();
    let nodes = cluster.addresses();
    let of = |node: SocketAddr, query: &str| ask(node, &format!("/cpix/studio?{query}"), None, "");
    let made = of(nodes[0], "contentId=film&tracks=SD,HD,AUDIO&systems=widevine,playready");
    assert_eq!(made.status, 200, "{}", whole(&made));
    assert_eq!(whole(&made).matches(":PlainValue>").count(), 6, "{}", whole(&made));
    let again =
        ask(nodes[1], "/studio/cpix?content_id=film&tracks=SD,HD,AUDIO&systems=widevine,playready", None, "");
    assert_eq!(whole(&again), whole(&made), "by the account's own path and another name");
    let kid = "98ee5596-cd3e-a20d-163a-e382420c6eff";
    let given = of(nodes[2], &format!("contentId=other&kids={kid}"));
    assert!(given.status == 200 && whole(&given).contains(kid), "{}", whole(&given));
    for (query, says) in [
        ("", "Missing parameter contentId"),
        ("contentId=a&kids=x", "Malformed kids"),
        (&format!("contentId=a&kids={kid},{kid}"), "Malformed kids"),
        ("contentId=a&scheme=aes", "Unsupported scheme"),
        ("contentId=a&systems=other", "Unsupported system other"),
    ] {
        let refused = of(nodes[0], query);
        assert!(refused.status == 422 && whole(&refused).starts_with(says), "{query}: {}", whole(&refused));
    }
}

/// What curl gets, with its own proofs: the status and the body.
fn curl(node: SocketAddr, target: &str, more: &[&str], document: &Path) -> (u16, String) {
    // A target of its own is asked for by the absolute form, as through a forward proxy.
    let node = format!("http://{node}");
    let (url, way) = match target.starts_with('/') {
        true => (format!("{node}{target}"), ["--noproxy", "*"]),
        false => (target.to_owned(), ["--proxy", node.as_str()]),
    };
    let body = format!("@{}", document.display());
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "30", "-w", "\n%{http_code}", "--data-binary", &body]).args(way);
    command.args(["-H", "Content-Type: application/xml", "-H", "X-Speke-Version: 2.0"]).args(more).arg(url);
    let output = command.output().expect("curl");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// Headers of a message signature, written from RFC 9421.
fn message_signature(target: &str, nonce: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let content = format!("sha-256=:{}:", STANDARD.encode(digest::digest(&digest::SHA256, body)));
    let parameters = format!(
        r#"("@method" "@target-uri" "content-digest");created={now_s};keyid="{ACCOUNT}/msg";nonce="{nonce}""#
    );
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": http://keymoot{target}\n\"content-digest\": {content}\n\
         \"@signature-params\": {parameters}"
    );
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), base.as_bytes());
    vec![
        ("Content-Digest", content),
        ("Signature-Input", format!("sig={parameters}")),
        ("Signature", format!("sig=:{}:", STANDARD.encode(tag))),
        ("X-Speke-Version", "2.0".to_owned()),
    ]
}

#[test]
fn every_kind_of_proof_opens_its_own_account_and_a_wrong_one_none() {
    let cluster = start();
    let nodes = cluster.addresses();
    let file = cluster.dir().join("request.xml");
    let document = golden("speke-2.0-cbcs");
    std::fs::write(&file, &document).unwrap();
    let expected = ask(nodes[0], V2, Some("2.0"), &document);
    assert_eq!(expected.status, 200, "{}", whole(&expected));

    let signed = |id: &str, secret: &str, node: SocketAddr, target: &str| {
        let user = format!("{id}:{secret}");
        curl(node, target, &["--aws-sigv4", "aws:amz:eu-west-1:execute-api", "--user", &user], &file)
    };
    let (named, by_path) = (format!("{ACCOUNT}/{ACCESS_KEY}"), format!("{V2}/{ACCOUNT}"));
    for (node, id, target) in [
        (nodes[0], ACCESS_KEY, V2),
        (nodes[1], &named, V2),
        (nodes[2], ACCESS_KEY, &by_path),
        (nodes[0], ACCESS_KEY, "/ekestage/copyprotection"),
        // The same again, within the second: nothing of it is spent.
        (nodes[1], ACCESS_KEY, V2),
        (nodes[1], ACCESS_KEY, V2),
        (nodes[2], ACCESS_KEY, "http://keys.example.net/speke/v2.0/copyProtection"),
    ] {
        assert_eq!(signed(id, SECRET, node, target), (200, whole(&expected)), "{id} {target}");
    }
    let digest = ["--digest", "--user", &format!("{ACCOUNT}/dg:{SECRET}")];
    assert_eq!(curl(nodes[1], V2, &digest, &file), (200, whole(&expected)));
    let message = |nonce: &str| {
        let headers = message_signature(V2, nonce, document.as_bytes());
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = raw::request("POST", V2, &headers, document.as_bytes());
        raw::exchange(nodes[2], &request, raw::ANSWER_WITHIN).unwrap()
    };
    assert_eq!(whole(&message("the only nonce of all")), whole(&expected));
    assert_eq!(message("the only nonce of all").status, 401, "a message signature is good once");

    for (id, secret) in [
        (ACCESS_KEY, "another secret of some length"),
        ("KMSTUDIO0000000002", SECRET),
        ("demo/encryption", SECRET),
    ] {
        let (status, text) = signed(id, secret, nodes[0], V2);
        assert!(status == 401 && !text.contains("PlainValue"), "{id}: {status} {text}");
    }
    // The right credential does not open another account, whatever the path says.
    assert_eq!(signed(&named, SECRET, nodes[0], &format!("{V2}/demo")).0, 401);
    let nobody = raw::request("POST", V2, &[("X-Speke-Version", "2.0")], document.as_bytes());
    let refused = raw::exchange(nodes[0], &nobody, raw::ANSWER_WITHIN).unwrap();
    let challenges: Vec<&str> = refused
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .map(|(_, text)| text.as_str())
        .collect();
    assert_eq!(refused.status, 401);
    assert!(challenges.contains(&"AWS4-HMAC-SHA256 realm=\"keymoot\""), "{challenges:?}");
    assert!(challenges.iter().any(|text| text.starts_with("Basic ")), "{challenges:?}");
}

#[test]
fn what_is_refused_is_told_in_spekes_words_in_body_and_header_and_the_log_says_where() {
    let cluster = start();
    let node = cluster.addresses()[0];
    let good = golden("speke-2.0-cbcs");
    let refused = |version: Option<&str>, document: &str, status: u16, text: &str| {
        let answer = ask(node, V2, version, document);
        assert_eq!((answer.status, whole(&answer)), (status, text.to_owned()));
        assert_eq!(answer.header("x-keymoot-error"), Some(text));
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
        answer.header("x-keymoot-reference").unwrap().to_owned()
    };
    refused(Some("3.0"), &good, 422, "Unsupported SPEKE version");
    refused(None, &good, 422, "Unsupported SPEKE version");
    refused(Some("2.0"), &good.replace(" contentId=\"film-1\"", ""), 422, "Missing CPIX@contentId");
    refused(
        Some("2.0"),
        &good.replace(" version=\"2.3\"", " version=\"9\""),
        422,
        "Unsupported CPIX@version",
    );
    let scheme = good.replacen(" commonEncryptionScheme=\"cbcs\"", "", 1);
    let kid = "98ee5596-cd3e-a20d-163a-e382420c6eff";
    let text = format!("Missing ContentKey@commonEncryptionScheme for KID {kid}");
    let reference = refused(Some("2.0"), &scheme, 422, &text);
    let log = || {
        let log = cluster.nodes()[0].log()?;
        let line = log.lines().find(|line| line.contains(&reference)).map(str::to_owned);
        line.ok_or_else(|| RigError::Answer(format!("no line of {reference}")))
    };
    let line = wait_until("the log line", raw::ANSWER_WITHIN, log).unwrap();
    assert!(line.contains("ContentKey") && line.contains("line "), "{line}");
    let long = format!("{good}<!--{}-->", "x".repeat(1 << 20));
    assert_eq!(ask(node, V2, Some("2.0"), &long).status, 413);
    // Long ones are read for nobody.
    let stranger = raw::request("POST", V2, &[("X-Speke-Version", "2.0")], long.as_bytes());
    assert_eq!(raw::exchange_streamed(node, &stranger, raw::ANSWER_WITHIN).unwrap().status, 401);
}

#[test]
fn heartbeats_paths_and_settings_are_the_accounts() {
    let cluster = start();
    let nodes = cluster.addresses();
    for path in ["/speke/v1.0/heartbeat", "/speke/v2.0/heartbeat", "/EkeStage/copyProtection/heartbeat"] {
        let beat = raw::exchange(nodes[1], &raw::request("GET", path, &[], &[]), raw::ANSWER_WITHIN).unwrap();
        assert_eq!((beat.status, whole(&beat).as_str()), (200, "ready\n"), "{path}");
    }
    let set = |more: &[&str]| cluster.command(1, &[&["account", "set", ACCOUNT], more].concat()).unwrap();
    let other = cluster.command(1, &["account", "set", "demo", "--speke-path", "/EkeStage/copyprotection"]);
    let said = other.unwrap().failed_with(1).unwrap();
    assert!(format!("{said:?}").contains("studio's"), "{said:?}");
    assert!(format!("{:?}", set(&["--cpix-path", "/cenc/x"])).contains("choose another"));
    assert!(format!("{:?}", set(&["--fairplay-uri", "skd://x"])).contains("{kid}"));

    let document = golden("speke-2.0-cbcs");
    let answer = || ask(nodes[0], V2, Some("2.0"), &document);
    let settled = |what: &str, wanted: &dyn Fn(&Answer) -> bool| {
        wait_until(what, raw::ANSWER_WITHIN, || match answer() {
            found if wanted(&found) => Ok(()),
            found => Err(RigError::Answer(whole(&found))),
        })
        .unwrap();
    };
    set(&["--document-system", "fairplay"]).succeeded().unwrap();
    settled("only FairPlay", &|found| {
        found.status == 422 && whole(found).starts_with("Unsupported DRMSystem")
    });
    set(&["--document-system", "", "--encrypted-documents", "true"]).succeeded().unwrap();
    settled("encryption demanded", &|found| {
        found.status == 422 && whole(found).starts_with("Keys are delivered encrypted")
    });
    let (key, certificate) = recipient(&cluster.dir(), "recipient");
    let with_recipient = encrypted_to(&document, [&certificate]);
    let sealed = ask(nodes[2], V2, Some("2.0"), &with_recipient);
    assert_eq!(sealed.status, 200, "{}", whole(&sealed));
    assert!(!whole(&sealed).contains("PlainValue") && whole(&sealed).contains("EncryptedValue"));
    std::fs::remove_file(key).unwrap();
    let shown = cluster.command(2, &["account", "show", ACCOUNT]).unwrap().succeeded().unwrap();
    assert!(
        shown.contains("/ekestage/copyprotection") && shown.contains("encrypted documents    yes"),
        "{shown}"
    );
}
