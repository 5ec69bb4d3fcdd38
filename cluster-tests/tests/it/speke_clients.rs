//! What nodes answer to documents, other people's programs read, find sound and decrypt; and a document that AWS's own
//! library signed is answered.

use std::collections::BTreeMap;
use std::path::Path;

use cluster_tests::speke::{self, Document, Encryptor, Version, guid, kid_of};
use cluster_tests::{Cluster, license, raw, signed};

use super::cpix_documents::{encrypted_to, goldens, keys, python, recipient};

/// An account that lets documents ask for whatever the goldens ask for.
fn stage() -> (Cluster, Encryptor, tempfile::TempDir) {
    let (options, dir) = license::entitling(&[speke::ACCOUNT]).unwrap();
    let cluster = options.start().unwrap();
    let encryptor =
        speke::add_account(&cluster, &["--aes128-uri", "https://keys.example/hls/key/{kid}"]).unwrap();
    (cluster, encryptor, dir)
}

/// The version that a golden's name begins with.
fn version_of(golden: &Path) -> Version {
    let name = golden.file_name().unwrap().to_str().unwrap();
    match name {
        name if name.starts_with("speke-1") => Version::Speke1,
        name if name.starts_with("speke-2.0") => Version::Speke2_0,
        name if name.starts_with("speke-2.1") => Version::Speke2_1,
        _ => Version::Cpix,
    }
}

/// The same request for contents and key ids that no other golden names: a key id has one content, and one kind.
fn of_its_own(request: &str, number: usize) -> String {
    let mut pieces = request.split("kid=");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (quote, kid) = piece.split_at(1);
        let (kid, rest) = kid.split_once(quote).unwrap();
        let own = guid(&kid_of(&format!("{number}/{}", kid.trim().to_ascii_lowercase())));
        text.push_str(&format!("kid={quote}{own}{quote}{rest}"));
    }
    // Periods have an id, too.
    let (root, rest) = text.split_at(text.find("ContentKeyList").unwrap());
    let root = root.replace(" id=\"", &format!(" id=\"{number}-"));
    ["contentId=\"", "contentId='"]
        .iter()
        .fold(root + rest, |text, name| text.replace(name, &format!("{name}{number}-")))
}

/// The answer of a node, in a file.
fn answered(answer: &raw::Answer, dir: &Path) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let file = dir.join("answer.xml");
    std::fs::write(&file, &answer.body).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn pypi_cpix_reads_every_answer_and_finds_its_content_sound_and_all_nodes_answer_alike() {
    let (cluster, encryptor, dir) = stage();
    let nodes = cluster.addresses();
    for (number, golden) in goldens(".request.xml").iter().enumerate() {
        let (name, version) = (golden.display(), version_of(golden));
        let request = of_its_own(&std::fs::read_to_string(golden).unwrap(), number);
        let by_node: Vec<BTreeMap<String, String>> = nodes
            .iter()
            .map(|node| {
                let answer = encryptor.send(*node, version, &request).unwrap();
                assert!(
                    version
                        .header()
                        .is_none_or(|(_, version)| answer.header("x-speke-version") == Some(version))
                );
                keys(&["validate", &answered(&answer, dir.path())])
            })
            .collect();
        assert!(by_node.iter().all(|keys| *keys == by_node[0]), "{name}: two nodes give different keys");
        let mut values: Vec<&String> = by_node[0].values().collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), by_node[0].len(), "{name}: two key ids have one key");
    }
}

#[test]
fn openssl_decrypts_what_a_node_encrypted_to_two_recipients_and_finds_the_keys_that_it_gives_in_the_clear() {
    let (cluster, encryptor, dir) = stage();
    let [first, second, _] = cluster.addresses()[..] else { panic!("three nodes") };
    let recipients = ["one", "other"].map(|name| recipient(dir.path(), name));
    let certificates = recipients.each_ref().map(|(_, certificate)| certificate.as_str());
    for version in Version::ALL {
        let plain = Document::of_tracks("sealed-film", &["SD", "AUDIO"], None).text(version);
        let sealed = encryptor.send(first, version, &encrypted_to(&plain, certificates)).unwrap();
        let opened = keys(&["decrypt", &answered(&sealed, dir.path()), &recipients[0].0, &recipients[1].0]);
        let clear = encryptor.send(second, version, &plain).unwrap();
        assert_eq!(opened, keys(&["validate", &answered(&clear, dir.path())]), "{version:?}");
        assert_eq!(opened.len(), 2);
    }
}

#[test]
fn a_document_that_awss_own_library_signed_is_answered() {
    let (cluster, encryptor, dir) = stage();
    let (file, node) = (dir.path().join("request.xml"), cluster.addresses()[1]);
    let document = Document::of_tracks("signed-by-aws", &["VIDEO", "AUDIO"], None);
    for version in Version::ALL {
        let text = document.text(version);
        std::fs::write(&file, &text).unwrap();
        // Its library signs the host that it asks, which the node must be called.
        let url = format!("http://localhost:{}{}", node.port(), version.path(&encryptor.account));
        let key = encryptor.access_key();
        let arguments = ["post", &url, file.to_str().unwrap(), key.id(), key.secret()];
        let version_number = version.header().map(|(_, number)| number);
        let answer = python(&[&arguments[..], version_number.as_slice()].concat());
        std::fs::write(&file, answer).unwrap();
        let read = keys(&["validate", file.to_str().unwrap()]);
        let own = encryptor.ask(node, version, &document).unwrap();
        for key in &own.keys {
            assert_eq!(read.get(&signed::hex(&key.kid)), Some(&signed::hex(&key.key)), "{version:?}");
        }
    }
}
