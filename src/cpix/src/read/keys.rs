//! `ContentKeyList`: which keys, of which contents, for which scheme.

use std::collections::HashSet;
use std::ops::{Deref, DerefMut};

use keymoot_drm::ProtectionScheme;
use keymoot_model::{ContentId, KeyKind};

use super::{demand_list, list, values};
use crate::fault::{Fault, FaultKind};
use crate::wanted::{KEYS_MAX, WantedKey};
use crate::xml::{Element, Namespace, Place};
use crate::{DrmSystem, Protocol};

/// A key while the rest of the document is read: what it is for is only known at the end.
pub(super) struct KeyBeingRead {
    pub(super) wanted: WantedKey,
    /// The scheme, where the document says it.
    given_scheme: Option<ProtectionScheme>,
    pub(super) place: Place,
}

impl Deref for KeyBeingRead {
    type Target = WantedKey;

    fn deref(&self) -> &WantedKey {
        &self.wanted
    }
}

impl DerefMut for KeyBeingRead {
    fn deref_mut(&mut self) -> &mut WantedKey {
        &mut self.wanted
    }
}

pub(super) fn read(
    root: &Element,
    protocol: Protocol,
    content: Option<&ContentId>,
) -> Result<Vec<KeyBeingRead>, Fault> {
    demand_list(root, "ContentKeyList", "ContentKey")?;
    let mut keys = Vec::new();
    let mut kids = HashSet::new();
    for element in list(root, "ContentKeyList", "ContentKey") {
        if keys.len() >= KEYS_MAX {
            return Err(Fault::at(FaultKind::TooLarge { what: "keys", max: KEYS_MAX }, element.place()));
        }
        let key = key(element, protocol, content)?;
        if !kids.insert(key.kid) {
            let what = format!("ContentKey@kid {}", key.kid);
            return Err(Fault::at(FaultKind::Repeated { what }, element.place()));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn key(element: &Element, protocol: Protocol, content: Option<&ContentId>) -> Result<KeyBeingRead, Fault> {
    let kid = values::kid(element, "kid", "ContentKey@kid")?;
    // A key that is replaced in silence would leave an encryptor with one that nobody licenses.
    if element.child(Namespace::Cpix, "Data").is_some_and(|data| !data.is_blank()) {
        return Err(Fault::at(FaultKind::KeyGiven { kid }, element.place())
            .because("this server makes the keys; send ContentKey without Data"));
    }
    Ok(KeyBeingRead {
        given_scheme: scheme(element, protocol)?,
        place: element.place(),
        wanted: WantedKey {
            content: content_of(element, protocol, content)?,
            kid,
            scheme: ProtectionScheme::Cenc,
            explicit_iv: explicit_iv(element)?,
            kind: KeyKind::Protected,
            systems: Vec::new(),
            track_types: Vec::new(),
            period_ids: Vec::new(),
            asks_hdcp: element.child(Namespace::Cpix, "HDCPData").is_some(),
        },
    })
}

/// The content of a key: the document's, or its own where keys name theirs.
fn content_of(
    element: &Element,
    protocol: Protocol,
    of_document: Option<&ContentId>,
) -> Result<ContentId, Fault> {
    let may_differ = matches!(protocol, Protocol::Speke2_1 | Protocol::Cpix);
    let own = element.attribute("contentId").filter(|_| may_differ);
    match (own, of_document) {
        (None, Some(content)) => Ok(content.clone()),
        (Some(own), Some(content)) if own == content.as_str() => Ok(content.clone()),
        (Some(_), Some(_)) => Err(Fault::at(FaultKind::TwoContentIds, element.place())
            .because("where keys name their contents, leave CPIX@contentId out")),
        (None | Some(""), None) => Err(Fault::at(FaultKind::MissingContentId, element.place())
            .because("some keys name a content of their own and this one does not")),
        (Some(own), None) => ContentId::new(own).map_err(|error| {
            Fault::at(FaultKind::ContentId { attribute: "ContentKey@contentId", error }, element.place())
        }),
    }
}

fn explicit_iv(element: &Element) -> Result<Option<[u8; 16]>, Fault> {
    let Some(text) = element.attribute("explicitIV").filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    let iv = values::base64(text).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let form = "it must be base64 of 16 bytes";
    iv.map(Some).ok_or_else(|| {
        Fault::at(FaultKind::Malformed { what: "ContentKey@explicitIV", form }, element.place())
    })
}

/// The scheme that a key states. Since CPIX 2.4 it may be the name of HLS's method.
fn scheme(element: &Element, protocol: Protocol) -> Result<Option<ProtectionScheme>, Fault> {
    // As the document writes it: clients compare the text.
    let kid = element.attribute("kid").unwrap_or_default().trim().to_owned();
    let text = element.attribute("commonEncryptionScheme").map(str::trim).filter(|text| !text.is_empty());
    let Some(text) = text else {
        if protocol.is_speke_2() {
            return Err(Fault::at(FaultKind::MissingScheme { kid }, element.place()));
        }
        return Ok(None);
    };
    let scheme = match (text, protocol) {
        ("SAMPLE-AES", Protocol::Speke2_1 | Protocol::Cpix) => Some(ProtectionScheme::Cbcs),
        ("SAMPLE-AES-CTR", Protocol::Speke2_1 | Protocol::Cpix) => Some(ProtectionScheme::Cenc),
        ("AES-128", Protocol::Speke2_1 | Protocol::Cpix) => Some(ProtectionScheme::Cbc1),
        _ => text.parse().ok(),
    };
    scheme.map(Some).ok_or_else(|| {
        Fault::at(FaultKind::UnsupportedScheme { kid }, element.place())
            .because("it must be cenc, cens, cbc1 or cbcs, and since CPIX 2.4 it may be AES-128, SAMPLE-AES or SAMPLE-AES-CTR")
    })
}

/// Says how each key encrypts, once its systems are known.
pub(super) fn settle_schemes(
    root: &Element,
    protocol: Protocol,
    keys: &mut [KeyBeingRead],
) -> Result<(), Fault> {
    for key in &mut *keys {
        let played = |system| key.wanted.systems.contains(&system);
        key.wanted.scheme = match key.given_scheme {
            Some(scheme) => scheme,
            None if played(DrmSystem::Aes128) => ProtectionScheme::Cbc1,
            None if played(DrmSystem::FairPlay) => ProtectionScheme::Cbcs,
            None => ProtectionScheme::Cenc,
        };
    }
    let mut schemes = keys.iter().map(|key| key.scheme);
    let first = schemes.next();
    if protocol.is_speke_2() && schemes.any(|scheme| Some(scheme) != first) {
        return Err(Fault::at(FaultKind::SchemeCombination, root.place())
            .because("all keys of a document must have the same commonEncryptionScheme"));
    }
    Ok(())
}
