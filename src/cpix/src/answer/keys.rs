//! `ContentKey`: the key, in the clear or encrypted, its IV and its HDCP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keymoot_crypto::DocumentKey;

use super::delivery::encrypted_value;
use super::prefixes::Prefixes;
use super::{Filling, internal};
use crate::fault::Fault;
use crate::signalling::key_text;
use crate::signals::{Hdcp, PolicySignals};
use crate::wanted::Wanted;
use crate::xml::{Element, Namespace, Node};

const AES_256_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes256-cbc";

/// What stands before `Data` in a `ContentKey`, by the schemas of 2.0 to 2.4.
const BEFORE_DATA: [&str; 6] =
    ["HDCPData", "Issuer", "AlgorithmParameters", "KeyProfileId", "KeyReference", "FriendlyName"];

pub(super) fn fill(
    root: &mut Element,
    wanted: &Wanted,
    fillings: &[Filling<'_>],
    document_key: Option<&DocumentKey>,
    tells_policy: bool,
    prefixes: &Prefixes,
) -> Result<(), Fault> {
    let Some(list) = root.child_mut(Namespace::Cpix, "ContentKeyList") else { return Ok(()) };
    let elements = list.elements_mut().filter(|element| element.is(Namespace::Cpix, "ContentKey"));
    for (element, (key, filling)) in elements.zip(wanted.keys.iter().zip(fillings)) {
        if let Some(iv) = filling.iv(key).filter(|_| key.explicit_iv.is_none()) {
            element.set_attribute("explicitIV", &STANDARD.encode(iv));
        }
        if tells_policy && let Some(signals) = filling.signals() {
            tell_hdcp(element, signals);
        }
        let secret = Element::new(Some(&prefixes.pskc), "Secret", Namespace::Pskc);
        let secret = match (filling.key(), document_key) {
            // A preview: the elements of a key in the clear, or of one that is encrypted, without a value.
            (None, _) => secret.with(Node::Element(secret_value(prefixes, wanted.recipients.is_empty()))),
            (Some(content_key), None) => {
                let value = Element::new(Some(&prefixes.pskc), "PlainValue", Namespace::Pskc);
                let value = value.with(Node::Secret(key_text(content_key.expose())));
                secret.with(Node::Element(value))
            }
            (Some(content_key), Some(document_key)) => {
                let delivered = document_key.encrypt(content_key).map_err(|error| internal(&error))?;
                let value = encrypted_value(prefixes, AES_256_CBC, &delivered.cipher_value);
                let mac = Element::new(Some(&prefixes.pskc), "ValueMAC", Namespace::Pskc)
                    .with(Node::Text(STANDARD.encode(&delivered.mac)));
                secret.with(Node::Element(value)).with(Node::Element(mac))
            }
        };
        element.remove_children(Namespace::Cpix, "Data");
        let data = element.sibling("Data").with(Node::Element(secret));
        element.insert_behind(data, |child| {
            child.namespace == Namespace::Cpix && BEFORE_DATA.contains(&child.local.as_str())
        });
    }
    Ok(())
}

fn secret_value(prefixes: &Prefixes, is_plain: bool) -> Element {
    let local = if is_plain { "PlainValue" } else { "EncryptedValue" };
    Element::new(Some(&prefixes.pskc), local, Namespace::Pskc)
}

/// What licenses demand of outputs, where the policy says it: in the place that the document has for it, or added.
fn tell_hdcp(element: &mut Element, signals: &PolicySignals) {
    let Some(hdcp) = signals.hdcp else {
        // Asked and not decided by the policy: an empty element would stop an encryptor.
        if element.child(Namespace::Cpix, "HDCPData").is_some() {
            set_hdcp(element, Hdcp::None);
        }
        return;
    };
    if element.child(Namespace::Cpix, "HDCPData").is_none() {
        let data = element.sibling("HDCPData");
        element.insert_behind(data, |_| false);
    }
    set_hdcp(element, hdcp);
}

fn set_hdcp(element: &mut Element, hdcp: Hdcp) {
    let Some(data) = element.child_mut(Namespace::Cpix, "HDCPData") else { return };
    data.set_attribute("HLSHDCPLevel", hdcp.hls_level());
    data.remove_children(Namespace::Cpix, "HDCPOutputProtectionData");
    if let Some(descriptor) = hdcp.dash_descriptor() {
        let text = Node::Text(STANDARD.encode(descriptor));
        let child = data.sibling("HDCPOutputProtectionData").with(text);
        data.insert_behind(child, |_| false);
    }
}
