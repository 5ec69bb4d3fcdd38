use std::path::Path;

use serde_json::Value;

use super::*;
use keymoot_protocol::CustomData;

/// Set to write the golden file anew.
const BLESS: &str = "KEYMOOT_BLESS";

fn published() -> Value {
    serde_json::from_slice(DOCUMENT.as_ref().unwrap()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let operations = item.as_object().unwrap().clone();
        let path = path.clone();
        operations.into_iter().map(move |(method, operation)| (path.clone(), method, operation))
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn the_document_is_the_golden_one() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let text = DOCUMENT.as_ref().unwrap();
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&golden, text).unwrap();
    }
    let expected = std::fs::read(&golden).unwrap_or_default();
    let differs = String::from_utf8_lossy(&expected)
        .lines()
        .zip(String::from_utf8_lossy(text).lines())
        .position(|(expected, now)| expected != now);
    assert!(
        *text == expected,
        "the published document changed (first at line {:?}); if that is meant, run this test with {BLESS}=1, \
         which writes docs/openapi.json, and look at the difference",
        differs.map(|line| line + 1)
    );
}

#[test]
fn every_route_and_method_is_documented_and_nothing_else() {
    let mut known: Vec<(String, String)> = API
        .rows()
        .flat_map(|(path, endpoint)| endpoint.methods().iter().map(move |method| (path, method)))
        .map(|(path, method)| (path.to_owned(), method.as_str().to_lowercase()))
        .collect();
    let mut documented: Vec<(String, String)> =
        operations(&published()).into_iter().map(|(path, method, _)| (path, method)).collect();
    known.sort();
    documented.sort();
    assert_eq!(documented, known);
}

#[test]
fn operations_have_ids_of_their_own_and_every_reference_leads_somewhere() {
    let document = published();
    let mut ids: Vec<String> = operations(&document)
        .into_iter()
        .map(|(path, method, operation)| {
            assert!(operation["summary"].is_string(), "{method} {path}");
            let secured = operation["responses"].get("401").is_some();
            assert_eq!(secured, operation["security"].is_array(), "{method} {path}");
            operation["operationId"].as_str().unwrap().to_owned()
        })
        .collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    let text = document.to_string();
    for (at, marker) in text.match_indices("\"$ref\":\"#") {
        let pointer = text[at + marker.len()..].split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}

#[test]
fn examples_of_custom_data_are_what_the_reader_reads() {
    let mut seen = 0;
    for (path, method, operation) in operations(&published()) {
        let content = &operation["requestBody"]["content"]["application/json"];
        if path.ends_with("/encryption") && content["example"].is_object() {
            let example = CustomData::parse(content["example"].to_string().as_bytes());
            assert_eq!(example.unwrap().account_id().as_str(), "demo", "{method} {path}");
            seen += 1;
        }
    }
    assert_eq!(seen, 3 * keymoot_drm::EncryptionProvider::ALL.len());
}
