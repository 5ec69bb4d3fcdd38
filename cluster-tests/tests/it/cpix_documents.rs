//! The promise: what SPEKE's and CPIX's clients get, other people's programs read and decrypt.
//!
//! PyPI `cpix` parses every golden answer of `src/cpix` and finds its references sound; OpenSSL decrypts a document
//! whose keys are encrypted to two recipients. `keymoot cpix check` takes each golden's request as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::{binary, tool};
use keymoot_cpix::{PolicySignals, Protocol, Request, Settings, SuppliedKey};
use keymoot_crypto::ContentKey;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cpix_documents.py");
/// By what the goldens' keys differ from their key ids.
const PROTECTED: u8 = 0x5a;
const CLEAR: u8 = 0xa5;
pub(super) const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/cpix/goldens");

pub(super) fn goldens(ending: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(GOLDENS).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    files.sort();
    assert!(files.len() >= 12, "there are only {} files of {ending}", files.len());
    files
}

/// What the script prints.
pub(super) fn python(arguments: &[&str]) -> String {
    tool::python(&[&[SCRIPT], arguments].concat()).unwrap()
}

/// The keys that the script finds by their key ids, all in hexadecimal.
pub(super) fn keys(arguments: &[&str]) -> BTreeMap<String, String> {
    serde_json::from_str(&python(arguments)).unwrap()
}

/// The keys that were supplied for the goldens.
fn assert_follow_from_key_ids(keys: &BTreeMap<String, String>, masks: &[u8]) {
    let bytes = |hex: &str| base16ct::lower::decode_vec(hex).unwrap();
    for (kid, key) in keys {
        let (kid, key) = (bytes(kid), bytes(key));
        let is_by = |mask: &u8| kid.iter().map(|byte| byte ^ mask).eq(key.iter().copied());
        assert!(masks.iter().any(is_by), "another key");
    }
}

#[test]
fn every_golden_answer_is_read_by_another_implementation_and_its_content_is_sound() {
    for answer in goldens(".answer.xml") {
        assert_follow_from_key_ids(&keys(&["validate", answer.to_str().unwrap()]), &[PROTECTED, CLEAR]);
    }
}

/// A key of RSA and a certificate for it, by OpenSSL: the path of the key, and the certificate in base64.
pub(super) fn recipient(dir: &Path, name: &str) -> (String, String) {
    let file = |ending: &str| dir.join(format!("{name}.{ending}")).display().to_string();
    let (key, certificate) = (file("key"), file("crt"));
    let subject = format!("/CN={name}");
    tool::run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-outform",
            "DER",
            "-out",
            &certificate,
        ],
    )
    .unwrap();
    (key, STANDARD.encode(std::fs::read(certificate).unwrap()))
}

/// The same request with a list of recipients.
pub(super) fn encrypted_to<const N: usize>(request: &str, certificates: [&str; N]) -> String {
    let delivery = |certificate: &str| {
        format!(
            "<cpix:DeliveryData><cpix:DeliveryKey><ds:X509Data xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">\
             <ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></cpix:DeliveryKey></cpix:DeliveryData>"
        )
    };
    let deliveries: String = certificates.map(delivery).concat();
    let list = format!("<cpix:DeliveryDataList>{deliveries}</cpix:DeliveryDataList><cpix:ContentKeyList>");
    request.replace("<cpix:ContentKeyList>", &list)
}

#[test]
fn openssl_decrypts_what_is_encrypted_to_each_of_two_recipients() {
    let dir = tempfile::tempdir().unwrap();
    let recipients = ["one", "other"].map(|name| recipient(dir.path(), name));
    let request = std::fs::read_to_string(Path::new(GOLDENS).join("speke-2.0-cbcs.request.xml")).unwrap();
    let request = encrypted_to(&request, recipients.each_ref().map(|(_, certificate)| certificate.as_str()));

    let settings = Settings::new("demo".parse().unwrap());
    let request = Request::parse(request.as_bytes(), Protocol::Speke2_0, &settings).unwrap();
    let supply = |kid: keymoot_model::Kid| SuppliedKey {
        kid,
        key: ContentKey::from_bytes(&kid.as_bytes().map(|byte| byte ^ PROTECTED)),
        iv: None,
        signals: PolicySignals::default(),
    };
    let supplied: Vec<_> = request.wanted().keys.iter().map(|wanted| supply(wanted.kid)).collect();
    let keys_wanted = supplied.len();
    let answer = dir.path().join("answer.xml");
    std::fs::write(&answer, &*request.answer(&supplied, &settings).unwrap()).unwrap();
    let opened = keys(&["decrypt", answer.to_str().unwrap(), &recipients[0].0, &recipients[1].0]);
    assert_eq!(opened.len(), keys_wanted);
    assert_follow_from_key_ids(&opened, &[PROTECTED]);
}

#[test]
fn the_command_line_checks_every_golden_request_and_says_what_is_wrong_with_a_damaged_one() {
    let program = binary::keymoot().unwrap();
    for request in goldens(".request.xml") {
        let checked = Command::new(&program).args(["cpix", "check"]).arg(&request).output().unwrap();
        let printed = String::from_utf8(checked.stdout).unwrap();
        assert!(
            checked.status.success(),
            "{}: {}",
            request.display(),
            String::from_utf8_lossy(&checked.stderr)
        );
        assert!(printed.contains("sent as ") && printed.contains("CPIX>"), "{printed}");

        // The same document cut off, on standard input.
        let text = std::fs::read_to_string(&request).unwrap();
        let cut = text.replace("</cpix:ContentKeyList>", "").replace("</ContentKeyList>", "");
        let mut child = Command::new(&program)
            .args(["cpix", "check", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), cut.as_bytes()).unwrap();
        let refused = child.wait_with_output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(64), "{said}");
        assert!(
            refused.stdout.is_empty() && said.contains("not well-formed XML") && said.contains("line "),
            "{said}"
        );
    }
    let missing = Command::new(&program).args(["cpix", "check", "/nowhere/at/all"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
}
