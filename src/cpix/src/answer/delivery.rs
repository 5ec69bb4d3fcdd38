//! `DeliveryData`: the document's keys, wrapped to each recipient.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keymoot_crypto::DocumentKey;

use super::internal;
use super::prefixes::Prefixes;
use crate::fault::Fault;
use crate::wanted::Wanted;
use crate::xml::{Element, Namespace, Node};

const AES_256_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes256-cbc";
const RSA_OAEP: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
const HMAC_SHA_512: &str = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512";

pub(super) fn fill(
    root: &mut Element,
    wanted: &Wanted,
    document_key: &DocumentKey,
    prefixes: &Prefixes,
) -> Result<(), Fault> {
    let Some(list) = root.child_mut(Namespace::Cpix, "DeliveryDataList") else { return Ok(()) };
    let elements = list.elements_mut().filter(|element| element.is(Namespace::Cpix, "DeliveryData"));
    for (element, recipient) in elements.zip(&wanted.recipients) {
        let wrapped = document_key.wrap_to(&recipient.key).map_err(|error| internal(&error))?;
        element.remove_children(Namespace::Cpix, "DocumentKey");
        element.remove_children(Namespace::Cpix, "MACMethod");
        let secret = Element::new(Some(&prefixes.pskc), "Secret", Namespace::Pskc)
            .with(Node::Element(encrypted_value(prefixes, RSA_OAEP, &wrapped.key)));
        let data = element.sibling("Data").with(Node::Element(secret));
        let document =
            element.sibling("DocumentKey").with_attribute("Algorithm", AES_256_CBC).with(Node::Element(data));
        let key =
            element.sibling("Key").with(Node::Element(encrypted_value(prefixes, RSA_OAEP, &wrapped.mac)));
        let mac = element.sibling("MACMethod").with_attribute("Algorithm", HMAC_SHA_512);
        element.insert_behind(document, |child| child.is(Namespace::Cpix, "DeliveryKey"));
        element.insert_behind(mac.with(Node::Element(key)), |child| child.is(Namespace::Cpix, "DocumentKey"));
    }
    Ok(())
}

/// `EncryptedValue` of PSKC, with XML Encryption's method and value in it.
pub(super) fn encrypted_value(prefixes: &Prefixes, algorithm: &str, cipher_value: &[u8]) -> Element {
    let enc = |local| Element::new(Some(&prefixes.enc), local, Namespace::XmlEncryption);
    let value = enc("CipherValue").with(Node::Text(STANDARD.encode(cipher_value)));
    Element::new(Some(&prefixes.pskc), "EncryptedValue", Namespace::Pskc)
        .with(Node::Element(enc("EncryptionMethod").with_attribute("Algorithm", algorithm)))
        .with(Node::Element(enc("CipherData").with(Node::Element(value))))
}
