//! The whole answer to a request of each version and for each system, byte for byte.
//!
//! `goldens/NAME.request.xml` is the request, `goldens/NAME.answer.xml` the answer with keys that follow from the KIDs.
//! Others read the answers too: `cluster-tests/tests/it/cpix_documents.rs`.

use std::path::{Path, PathBuf};

use keymoot_drm::ProtectionScheme;

use super::*;
use crate::{Composition, TrackType, likely_protocol};

/// Set to write the answers anew.
const BLESS: &str = "KEYMOOT_BLESS";

/// Each golden with the protocol that its request came by.
const GOLDENS: [(&str, Protocol); 12] = [
    ("speke-1-dash-smooth", Protocol::Speke1),
    ("speke-1-fairplay", Protocol::Speke1),
    ("speke-1-aes-128", Protocol::Speke1),
    ("speke-2.0-cbcs", Protocol::Speke2_0),
    ("speke-2.0-cenc-all-of-each-system", Protocol::Speke2_0),
    ("speke-2.0-aes-128", Protocol::Speke2_0),
    ("speke-2.0-rotation", Protocol::Speke2_0),
    ("speke-2.1-policy", Protocol::Speke2_1),
    ("speke-2.1-two-contents", Protocol::Speke2_1),
    ("cpix-2.0-odd-prefixes", Protocol::Cpix),
    ("cpix-2.2-key-uri", Protocol::Cpix),
    ("cpix-2.3-composed", Protocol::Cpix),
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name)
}

#[test]
fn each_request_is_answered_byte_for_byte() {
    for (name, protocol) in GOLDENS {
        let request = std::fs::read_to_string(file(&format!("{name}.request.xml"))).unwrap();
        let answer = answer(&request, protocol);
        let golden = file(&format!("{name}.answer.xml"));
        if std::env::var_os(BLESS).is_some() {
            std::fs::write(&golden, &answer).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(
            answer, expected,
            "the answer to {name} has changed; if that is meant: {BLESS}=1 cargo nextest run -p keymoot-cpix -E \
             'test(each_request_is_answered)'"
        );
        // A document that was made here keeps SPEKE's rules too.
        let likely = if name == "cpix-2.3-composed" { Protocol::Speke2_0 } else { protocol };
        assert_eq!(likely_protocol(request.as_bytes()), Ok(likely), "{name}");
    }
}

#[test]
fn there_is_no_golden_that_nobody_compares() {
    let files =
        std::fs::read_dir(file("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.collect();
    let mut named: Vec<String> = GOLDENS
        .iter()
        .flat_map(|(name, _)| [format!("{name}.request.xml"), format!("{name}.answer.xml")])
        .collect();
    files.sort();
    named.sort();
    assert_eq!(files, named);
}

#[test]
fn a_document_for_a_get_is_the_one_of_the_golden() {
    let content = "film & more".parse().unwrap();
    let keys = [
        (KID.parse().unwrap(), TrackType::new("SD+HD1").unwrap()),
        (KID_2.parse().unwrap(), TrackType::new("STEREO_AUDIO").unwrap()),
    ];
    let systems = [DrmSystem::Widevine, DrmSystem::PlayReady, DrmSystem::FairPlay];
    let composition =
        Composition { content: &content, keys: &keys, scheme: ProtectionScheme::Cbcs, systems: &systems };
    let golden = file("cpix-2.3-composed.request.xml");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&golden, composition.document() + "\n").unwrap();
    }
    assert_eq!(composition.document() + "\n", std::fs::read_to_string(golden).unwrap());
}

#[test]
fn the_same_document_has_the_same_answer() {
    for (name, protocol) in GOLDENS {
        let request = std::fs::read_to_string(file(&format!("{name}.request.xml"))).unwrap();
        assert_eq!(answer(&request, protocol), answer(&request, protocol), "{name}");
    }
}
