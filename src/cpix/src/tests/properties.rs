//! Any document: no panic, and an answer that can be read again and has the request's elements in their order.

use proptest::prelude::*;

use super::*;
use crate::xml::{Element, Namespace, Node};

/// Pieces that documents are made of, sound and odd.
const PIECES: [&str; 22] = [
    "<cpix:PSSH/>",
    "<cpix:PSSH></cpix:PSSH>",
    "<cpix:ContentProtectionData robustness=\"\"/>",
    "<cpix:HLSSignalingData playlist=\"media\"/>",
    "<cpix:HLSSignalingData playlist=\"master\"/>",
    "<cpix:SmoothStreamingProtectionHeaderData/>",
    "<cpix:URIExtXKey/>",
    "<speke:KeyFormat xmlns:speke=\"urn:aws:amazon:com:speke\"/>",
    "<x:Own xmlns:x=\"urn:own\"/>",
    "<!-- x -->",
    "\n\t",
    "</cpix:DRMSystem><cpix:DRMSystem kid=\"53abdba2-f210-43cb-bc90-f18f9a890a02\" systemId=\"9a04f079-9840-4286-ab92-e65be0885f95\">",
    "</cpix:DRMSystem><cpix:DRMSystem kid=\"53abdba2-f210-43cb-bc90-f18f9a890a02\" systemId=\"94ce86fb-07ff-4f43-adb8-93d2fa968ca2\">",
    "</cpix:DRMSystem><cpix:DRMSystem kid=\"98ee5596-cd3e-a20d-163a-e382420c6eff\" systemId=\"1077efec-c0b2-4d02-ace3-3c1e52e2fb4b\">",
    "</cpix:DRMSystem><cpix:DRMSystem kid=\"98ee5596-cd3e-a20d-163a-e382420c6eff\" systemId=\"e2719d58-a985-b3c9-781a-b030af78d30e\">",
    "text &amp; <![CDATA[<more>]]>",
    "<pskc:Secret/>",
    "<cpix:Data/>",
    "<cpix:DRMSystem/>",
    "&#x1F600;",
    "<cpix:PSSH xmlns:cpix=\"urn:other\"/>",
    "</cpix:CPIX>",
];

fn names(element: &Element, out: &mut Vec<(Namespace, String)>) {
    out.push((element.namespace, element.local.clone()));
    element.elements().for_each(|child| names(child, out));
}

/// Whether all of `few` stand in `many`, in the same order.
fn is_in_order(few: &[(Namespace, String)], many: &[(Namespace, String)]) -> bool {
    let mut many = many.iter();
    few.iter().all(|name| many.any(|other| other == name))
}

proptest! {
    #[test]
    fn any_document_is_refused_or_answered_with_all_that_it_held(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..6),
        scheme in prop::sample::select(vec!["cenc", "cbcs", "cbc1", ""]),
        version in prop::sample::select(vec!["2.3", "2.4", "2.0"]),
        protocol in prop::sample::select(Protocol::ALL.to_vec()),
    ) {
        let document = document()
            .replacen("<cpix:PSSH/>", &pieces.concat(), 1)
            .replace("=\"cenc\"", &format!("=\"{scheme}\""))
            .replace("\"2.3\"", &format!("\"{version}\""))
            .replace("contentId=", "id=\"i\" contentId=");
        let Ok(request) = read(&document, protocol) else { return Ok(()) };
        let keys = keys_of(request.wanted());
        let preview = read(&document, protocol).unwrap().preview(&settings()).unwrap();
        let answer = request.answer(&keys, &settings()).unwrap();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        names(&crate::xml::read(document.as_bytes()).unwrap(), &mut before);
        let root = crate::xml::read(&answer).unwrap();
        names(&root, &mut after);
        prop_assert!(is_in_order(&before, &after));
        prop_assert!(crate::xml::read(&preview).is_ok());
        // Each key of the document, and no other text, is in a Secret.
        let mut secrets = 0;
        let mut root = root;
        root.for_each(&mut |element| {
            if element.is(Namespace::Pskc, "PlainValue") && element.children.iter().any(|node| matches!(node, Node::Text(_))) {
                secrets += 1;
            }
        });
        prop_assert_eq!(secrets, keys.len());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, at in any::<prop::sample::Index>(), patch: Vec<u8>) {
        let mut damaged = document().into_bytes();
        let start = at.index(damaged.len());
        let end = damaged.len().min(start + patch.len());
        damaged.splice(start..end, patch);
        for protocol in Protocol::ALL {
            let _ = Request::parse(&bytes, protocol, &settings());
            if let Ok(request) = Request::parse(&damaged, protocol, &settings()) {
                let keys = keys_of(request.wanted());
                prop_assert!(request.answer(&keys, &settings()).is_ok());
            }
        }
    }
}
