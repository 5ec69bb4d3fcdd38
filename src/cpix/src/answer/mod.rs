//! The request filled in.

mod delivery;
mod keys;
mod prefixes;
mod systems;

use std::collections::HashMap;

use keymoot_crypto::{ContentKey, DocumentKey};
use keymoot_model::Kid;
use zeroize::Zeroizing;

use super::fault::{Fault, FaultKind};
use super::settings::Settings;
use super::signals::PolicySignals;
use super::wanted::Wanted;
use super::xml::{self, Element, Namespace};
use super::{Protocol, WantedKey};

/// A key for a document, made or looked up by the caller.
#[derive(Debug)]
pub struct SuppliedKey {
    /// The key id: the one that was asked for, or another that the server gave in its place. Then it stands in the
    /// answer wherever the other one stood.
    pub kid: Kid,
    pub key: ContentKey,
    /// The IV that licenses announce for the key. It stands in the answer unless the document gave one, which wins.
    pub iv: Option<[u8; 16]>,
    /// What licenses of the key demand; told from CPIX 2.4 on.
    pub signals: PolicySignals,
}

/// A key for an answer, or what stands for it in one that nobody can use.
#[derive(Clone, Copy)]
enum Filling<'a> {
    Key(&'a SuppliedKey),
    /// For `check`: everything that does not need the key.
    Preview(&'a WantedKey),
}

impl<'a> Filling<'a> {
    fn kid(self) -> Kid {
        match self {
            Self::Key(supplied) => supplied.kid,
            Self::Preview(wanted) => wanted.kid,
        }
    }

    fn key(self) -> Option<&'a ContentKey> {
        match self {
            Self::Key(supplied) => Some(&supplied.key),
            Self::Preview(_) => None,
        }
    }

    fn iv(self, wanted: &WantedKey) -> Option<[u8; 16]> {
        match self {
            Self::Key(supplied) => wanted.explicit_iv.or(supplied.iv),
            Self::Preview(_) => wanted.explicit_iv,
        }
    }

    fn signals(self) -> Option<&'a PolicySignals> {
        match self {
            Self::Key(supplied) => Some(&supplied.signals),
            Self::Preview(_) => None,
        }
    }
}

/// Fills the document in with keys, which stand in the order of [`Wanted::keys`].
pub(crate) fn fill(
    root: Element,
    wanted: &Wanted,
    supplied: &[SuppliedKey],
    settings: &Settings,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if supplied.len() != wanted.keys.len() {
        let why = format!("{} keys were supplied for {}", supplied.len(), wanted.keys.len());
        return Err(Fault::from(FaultKind::Internal).because(why));
    }
    let fillings: Vec<_> = supplied.iter().map(Filling::Key).collect();
    // The caller has no say in it: whether keys are encrypted, and to whom, is what the document says.
    let document_key = match wanted.recipients.as_slice() {
        [] => None,
        _ => Some(DocumentKey::generate().map_err(|error| internal(&error))?),
    };
    fill_with(root, wanted, &fillings, document_key.as_ref(), settings)
}

/// The answer without keys: they are left out, and with them what only they decide.
pub(crate) fn preview(root: Element, wanted: &Wanted, settings: &Settings) -> Result<Vec<u8>, Fault> {
    let fillings: Vec<_> = wanted.keys.iter().map(Filling::Preview).collect();
    fill_with(root, wanted, &fillings, None, settings).map(|bytes| bytes.to_vec())
}

fn fill_with(
    mut root: Element,
    wanted: &Wanted,
    fillings: &[Filling<'_>],
    document_key: Option<&DocumentKey>,
    settings: &Settings,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if wanted.protocol.is_speke_2() {
        root.remove_attribute("id");
    }
    root.remove_children(Namespace::XmlSignature, "Signature");
    let pskc = prefixes::of(&mut root, Namespace::Pskc);
    let enc = match document_key {
        Some(_) => prefixes::of(&mut root, Namespace::XmlEncryption),
        None => String::new(),
    };
    let speke = match wanted.protocol {
        Protocol::Speke1 => prefixes::of(&mut root, Namespace::Speke),
        _ => String::new(),
    };
    let prefixes = prefixes::Prefixes { pskc, enc, speke };
    if let Some(document_key) = document_key {
        delivery::fill(&mut root, wanted, document_key, &prefixes)?;
    }
    let tells_policy = tells_policy(&root, wanted.protocol);
    keys::fill(&mut root, wanted, fillings, document_key, tells_policy, &prefixes)?;
    systems::fill(&mut root, wanted, fillings, tells_policy, &prefixes, settings)?;
    replace_kids(&mut root, wanted, fillings);
    Ok(xml::write(&root))
}

/// Whether the document's version has places for what licenses demand.
fn tells_policy(root: &Element, protocol: Protocol) -> bool {
    protocol == Protocol::Speke2_1 || (protocol == Protocol::Cpix && root.attribute("version") == Some("2.4"))
}

/// Puts the key ids of the server wherever those of the encryptor stood.
fn replace_kids(root: &mut Element, wanted: &Wanted, fillings: &[Filling<'_>]) {
    let pairs = wanted.keys.iter().zip(fillings);
    let replaced: HashMap<Kid, Kid> =
        pairs.map(|(key, filling)| (key.kid, filling.kid())).filter(|(from, to)| from != to).collect();
    if replaced.is_empty() {
        return;
    }
    root.for_each(&mut |element| {
        for attribute in element.attributes.iter_mut().filter(|attribute| attribute.name == "kid") {
            let old = attribute.value.trim().parse::<Kid>().ok();
            if let Some(new) = old.and_then(|old| replaced.get(&old)) {
                attribute.value = new.to_string();
            }
        }
    });
}

fn internal(error: &keymoot_crypto::DeliveryError) -> Fault {
    Fault::from(FaultKind::Internal).because(error.to_string())
}
