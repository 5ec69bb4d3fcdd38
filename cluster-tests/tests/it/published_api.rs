//! The published document is true: each of its example requests is sent to real nodes, and each answer
//! is held against the schema that the document gives for it.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::raw::{self, percent_encode};
use cluster_tests::{Cluster, Signer, widevine};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// What anybody may read: it hands out nothing, so the audit has only its refusals. A new operation that is not proved must
/// be named here, or have its event.
pub(super) const OPEN: [&str; 9] = [
    "/speke/v1.0/heartbeat",
    "/speke/v2.0/heartbeat",
    "/capabilities",
    "/openapi.json",
    "/docs",
    "/docs/{file}",
    "/healthz",
    "/readyz",
    "/metrics",
];

/// The document, as a node serves it.
pub(super) struct Document(Value);

/// One operation with its example request.
pub(super) struct Example<'d> {
    pub(super) path: &'d str,
    method: String,
    operation: &'d Value,
}

/// What came back.
pub(super) struct Answered {
    pub(super) status: u16,
    kind: String,
    body: Vec<u8>,
}

impl Document {
    pub(super) fn of(node: SocketAddr) -> Self {
        let request = raw::request("GET", "/openapi.json", &[], &[]);
        let answer = raw::exchange(node, &request, raw::ANSWER_WITHIN).unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        Self(serde_json::from_slice(&answer.body).unwrap())
    }

    /// A validator for a schema of the document. What the document does not name is refused here, so
    /// that nothing is answered that it leaves out.
    fn validator(&self, schema: &Value) -> Validator {
        let mut components = self.0["components"].clone();
        for schema in components["schemas"].as_object_mut().unwrap().values_mut() {
            let is_closed = schema.get("properties").is_some();
            if let (true, Some(members)) = (is_closed, schema.as_object_mut()) {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        let mut root = schema.as_object().cloned().unwrap_or_else(Map::new);
        root.insert("components".into(), components);
        jsonschema::draft202012::new(&Value::Object(root)).unwrap()
    }

    fn component(&self, name: &str) -> Validator {
        self.validator(&json!({"$ref": format!("#/components/schemas/{name}")}))
    }

    /// All operations; those that read what others make after them, those that delete last.
    pub(super) fn examples(&self) -> Vec<Example<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let mut examples: Vec<Example<'_>> = paths
            .iter()
            .flat_map(|(path, item)| {
                let operations = item.as_object().unwrap().iter();
                operations.map(move |(method, operation)| Example {
                    path,
                    method: method.to_uppercase(),
                    operation,
                })
            })
            .collect();
        let turns = ["POST", "PUT", "GET", "DELETE"];
        examples.sort_by_key(|example| turns.iter().position(|method| *method == example.method));
        examples
    }
}

impl Example<'_> {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(super) fn is_secured(&self) -> bool {
        self.operation.get("security").is_some()
    }

    fn parameters(&self, place: &str) -> Vec<(&str, &str)> {
        let all = self.operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let here = all.iter().filter(|parameter| parameter["in"] == place);
        here.map(|one| (one["name"].as_str().unwrap(), one["example"].as_str().unwrap())).collect()
    }

    /// The body, and its type.
    fn body(&self) -> (Vec<u8>, Option<&str>) {
        let Some(contents) = self.operation["requestBody"]["content"].as_object() else {
            return (Vec::new(), None);
        };
        let (kind, content) = contents.iter().next().unwrap();
        let example = &content["example"];
        let body = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        (body.into_bytes(), Some(kind))
    }

    /// The bytes that uDRM signs: the body, or the decoded custom data.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        let data = self.parameters("query").into_iter().find(|(name, _)| *name == "custom_data");
        data.map_or_else(|| self.body().0, |(_, text)| STANDARD.decode(text).unwrap())
    }

    /// Whether it is for players, whose signing key is another.
    pub(super) fn is_for_players(&self) -> bool {
        self.path.starts_with("/hls/key/") || self.path.ends_with("/license")
    }

    /// Whether its answer needs what these nodes are not given: license servers, entitlements, a
    /// credential for policies, or what names the account of a document. Tests of their own hold those.
    pub(super) fn is_held_elsewhere(&self) -> bool {
        self.path.ends_with("/license")
            || self.path.starts_with("/policy")
            || self.path.ends_with("/copyProtection")
    }

    pub(super) fn send(&self, node: SocketAddr, signature: Option<&str>, kid: &str) -> Answered {
        let mut target = self.path.to_owned();
        let mut body = self.body().0;
        if self.path.contains("getcontentkey") {
            body = signed_for_packagers(&body);
        }
        for (name, example) in self.parameters("path") {
            let value = match name {
                "account" => widevine::ACCOUNT,
                "kid" => kid,
                _ => example,
            };
            target = target.replace(&format!("{{{name}}}"), value);
        }
        let mut query: Vec<String> = self
            .parameters("query")
            .into_iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value)))
            .collect();
        query.extend(signature.map(|text| format!("signature={}", percent_encode(text))));
        if target == "/docs" {
            target.push('/');
        }
        let headers = [&[("Connection", "close")], self.parameters("header").as_slice()].concat();
        send_with(node, &self.method, &format!("{target}?{}", query.join("&")), &headers, &body)
    }

    fn must_be_as_described(&self, document: &Document, answered: &Answered) {
        let name = self.name();
        let described = &self.operation["responses"][answered.status.to_string()];
        let text = String::from_utf8_lossy(&answered.body);
        assert!(described.is_object(), "{name}: {} is not in the document: {text:.300}", answered.status);
        let content = &described["content"][answered.kind.as_str()];
        assert!(content.is_object(), "{name}: {} is not in the document", answered.kind);
        let validator = document.validator(&content["schema"]);
        let instances: Vec<Value> = match answered.kind.as_str() {
            "application/json" => vec![serde_json::from_str(&text).unwrap()],
            "application/x-ndjson" => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            _ => vec![Value::String(text.into_owned())],
        };
        for instance in instances {
            let errors: Vec<String> =
                validator.iter_errors(&instance).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {instance:.300}: {errors:?}");
            assert_ne!(instance["status"], "error", "{name}: {instance:.300}");
            if let Some(inner) = instance.get("response").and_then(Value::as_str) {
                let inner: Value = serde_json::from_slice(&STANDARD.decode(inner).unwrap()).unwrap();
                let errors: Vec<String> =
                    document.component("ContentKeys").iter_errors(&inner).map(|e| e.to_string()).collect();
                assert!(errors.is_empty(), "{name}: {inner}: {errors:?}");
                assert_eq!(inner["status"], "OK", "{name}: {inner}");
            }
        }
    }
}

fn send(node: SocketAddr, method: &str, target: &str, body: &[u8]) -> Answered {
    send_with(node, method, target, &[("Connection", "close")], body)
}

fn send_with(
    node: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answered {
    let request = raw::request(method, target, headers, body);
    let answer = raw::exchange_streamed(node, &request, raw::ANSWER_WITHIN).unwrap();
    let kind = answer.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap().to_owned();
    Answered { status: answer.status, kind, body: answer.body }
}

/// The example's request, signed anew by an account that there is: its own signature is a placeholder.
fn signed_for_packagers(example: &[u8]) -> Vec<u8> {
    let envelope: Value = serde_json::from_slice(example).unwrap();
    widevine::signed(&STANDARD.decode(envelope["request"].as_str().unwrap()).unwrap()).unwrap()
}

/// The id of the key that HLS has for the content of the examples.
pub(super) fn hls_key_id(node: SocketAddr, signer: &Signer) -> String {
    let data = signer.custom_data("film.mp4", &[]);
    let answer = signer.send(node, "POST", "/hls/encryption", &data).unwrap();
    let (_, kid) = cluster_tests::KeyAnswer::from_answer(&answer).unwrap().bytes().unwrap();
    cluster_tests::signed::hex(&kid)
}

#[test]
fn every_example_request_is_answered_as_the_document_says() {
    let cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let nodes = cluster.addresses();
    let document = Document::of(nodes[0]);
    assert!(nodes.iter().all(|node| Document::of(*node).0 == document.0), "every node publishes the same");
    let signer: &Signer = cluster.signer();
    let examples = document.examples();
    assert!(examples.len() > 35, "{}", examples.len());
    let players = cluster.license_signer();
    let kid = hls_key_id(nodes[0], signer);
    for (example, node) in examples.iter().zip(nodes.iter().cycle()) {
        if example.is_secured() {
            // Nobody signed, and somebody signed with the wrong key: refused, as described.
            for wrong in [None, Some(signer.with_key("wrong").signature(&example.signed_bytes()))] {
                let refused = example.send(*node, wrong.as_deref(), &kid);
                assert_eq!(refused.status, 401, "{}", example.name());
                example.must_be_as_described(&document, &refused);
            }
        }
        if example.is_held_elsewhere() {
            continue;
        }
        let signer = if example.is_for_players() { &players } else { signer };
        let signature = example.is_secured().then(|| signer.signature(&example.signed_bytes()));
        let answered = example.send(*node, signature.as_deref(), &kid);
        let text = String::from_utf8_lossy(&answered.body);
        assert_eq!(answered.status, 200, "{}: {text:.300}", example.name());
        example.must_be_as_described(&document, &answered);
    }
}

#[test]
fn methods_that_the_document_does_not_name_are_refused() {
    let cluster = Cluster::start().unwrap();
    let node = cluster.addresses()[0];
    let document = Document::of(node);
    let refusal = document.component("Refusal");
    for (path, item) in document.0["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            if item.get(method.to_lowercase()).is_some() {
                continue;
            }
            let answered = send(node, method, path, b"");
            let body: Value = serde_json::from_slice(&answered.body).unwrap();
            assert_eq!(answered.status, 400, "{method} {path}");
            assert!(refusal.is_valid(&body) && body.to_string().contains("not supported here"), "{body}");
        }
    }
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let cluster = Cluster::start().unwrap();
    let node = cluster.addresses()[0];
    let request = raw::request("GET", "/docs/", &[], &[]);
    let page = raw::exchange(node, &request, raw::ANSWER_WITHIN).unwrap();
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("http"), "{policy}");
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("swagger-ui-bundle.js") && !html.contains("://"), "{html}");
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        let answered = send(node, "GET", &format!("/docs/{file}"), b"");
        assert_eq!(answered.status, 200, "{file}");
    }
}

/// Where `scripts/real-clients` installs the schema-driven tester.
const TESTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/real-clients/schemathesis");
/// What it is told of signatures.
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis");
/// Places where requests are no single documents that a schema describes, with tests of their own: SOAP, SPEKE, lines, an
/// envelope whose answer is always 200, challenges of DRM systems, files of the viewer.
const NOT_DRIVEN: &str = "^/(docs|metrics|openapi|bulk|speke|cpix|playready/acquire|(widevine/)?cenc/getcontentkey|fps/license|\
                          (cenc/)?(widevine|playready)/license)";

#[test]
fn a_schema_driven_tester_finds_no_place_where_document_and_readers_differ() {
    let cluster = Cluster::start().unwrap();
    let node = cluster.addresses()[0];
    let dir = tempfile::tempdir().unwrap();
    let document = dir.path().join("openapi.json");
    std::fs::write(&document, send(node, "GET", "/openapi.json", b"").body).unwrap();
    let keys = json!({
        "encryption": cluster.signer().signing_key(), "license": cluster.license_signer().signing_key(),
    });
    let mut command = std::process::Command::new(format!("{TESTER}/bin/st"));
    command.current_dir(dir.path()).arg("run").arg(&document).args(["--url", &format!("http://{node}")]);
    // Bounded, and the same each time.
    command.args([
        "--seed",
        "1",
        "-n",
        "10",
        "--phases",
        "examples,coverage",
        "--no-shrink",
        "--continue-on-failure",
    ]);
    command.args(["--exclude-path-regex", NOT_DRIVEN, "--suppress-health-check", "all", "--warnings", "off"]);
    command.args([
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,\
                               response_schema_conformance,negative_data_rejection,positive_data_acceptance",
    ]);
    command.env("PYTHONPATH", format!("{TESTER}:{HOOKS}")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("KEYMOOT_SIGNING_KEYS", keys.to_string());
    let ran = command.output().expect("schemathesis; scripts/real-clients installs it");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    let generated =
        said.lines().find_map(|line| line.trim().split_once(" generated").map(|(count, _)| count));
    let generated: u32 = generated.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    assert!(generated > 3000, "only {generated} requests were made");
}
