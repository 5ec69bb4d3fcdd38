//! `DRMSystemList`: which systems are asked about which key, and for which elements.

use std::collections::{HashMap, HashSet};

use keymoot_model::KeyKind;

use super::keys::KeyBeingRead;
use super::{demand_list, list, values};
use crate::fault::{Fault, FaultKind};
use crate::settings::Settings;
use crate::wanted::{Note, SYSTEMS_MAX, WantedSystem};
use crate::xml::{Element, Namespace};
use crate::{DrmSystem, Protocol, SystemElement};

pub(super) fn read(
    root: &Element,
    protocol: Protocol,
    keys: &mut [KeyBeingRead],
    settings: &Settings,
    notes: &mut Vec<Note>,
) -> Result<Vec<WantedSystem>, Fault> {
    if protocol != Protocol::Cpix {
        demand_list(root, "DRMSystemList", "DRMSystem")?;
    }
    let places: HashMap<_, _> = keys.iter().enumerate().map(|(at, key)| (key.kid, at)).collect();
    let mut systems = Vec::new();
    let mut seen = HashSet::new();
    for element in list(root, "DRMSystemList", "DRMSystem") {
        if systems.len() >= SYSTEMS_MAX {
            let kind = FaultKind::TooLarge { what: "DRMSystem elements", max: SYSTEMS_MAX };
            return Err(Fault::at(kind, element.place()));
        }
        let wanted = system(element, protocol, settings, notes)?;
        if !seen.insert((wanted.kid, wanted.system)) {
            let what = format!("DRMSystem {} for KID {}", wanted.system, wanted.kid);
            return Err(Fault::at(FaultKind::Repeated { what }, element.place()));
        }
        let key = places.get(&wanted.kid).and_then(|at| keys.get_mut(*at));
        let kind = FaultKind::UnknownKid { element: "DRMSystem", kid: wanted.kid };
        key.ok_or_else(|| Fault::at(kind, element.place()))?.systems.push(wanted.system);
        systems.push(wanted);
    }
    for key in keys {
        let is_clear = key.systems.contains(&DrmSystem::Aes128);
        if is_clear && key.systems.len() > 1 {
            return Err(Fault::at(FaultKind::ClearAndProtected { kid: key.kid }, key.place.clone())
                .because("players get an AES-128 key as it is: give it a KID of its own"));
        }
        if is_clear {
            key.kind = KeyKind::Clear;
        }
    }
    Ok(systems)
}

/// Refuses a system for a key whose scheme its players do not know.
pub(super) fn check_schemes(root: &Element, keys: &[KeyBeingRead]) -> Result<(), Fault> {
    let schemes: HashMap<_, _> = keys.iter().map(|key| (key.kid, key.scheme)).collect();
    for element in list(root, "DRMSystemList", "DRMSystem") {
        let (system, system_id) = system_of(element)?;
        let kid = values::kid(element, "kid", "DRMSystem@kid")?;
        if let Some(scheme) = schemes.get(&kid).filter(|scheme| !system.plays(**scheme)) {
            return Err(Fault::at(FaultKind::SchemeOfSystem { system_id }, element.place())
                .because(format!("players of {system} do not know {scheme}")));
        }
    }
    Ok(())
}

fn system(
    element: &Element,
    protocol: Protocol,
    settings: &Settings,
    notes: &mut Vec<Note>,
) -> Result<WantedSystem, Fault> {
    let kid = values::kid(element, "kid", "DRMSystem@kid")?;
    let (system, system_id) = system_of(element)?;
    if !settings.systems.is_empty() && !settings.systems.contains(&system) {
        return Err(Fault::at(FaultKind::UnsupportedSystem { system_id }, element.place())
            .because("the account's settings leave the system out"));
    }
    let missing = match system {
        DrmSystem::Aes128 if settings.aes128_uri.is_none() => Some("URI for AES-128 keys"),
        DrmSystem::ClearKey if settings.clear_key_urls.is_empty() => Some("URL for Clear Key licenses"),
        _ => None,
    };
    if let Some(what) = missing {
        return Err(Fault::at(FaultKind::NotConfigured { what }, element.place()));
    }
    if element.elements().next().is_none() {
        let elements = system.elements(protocol == Protocol::Speke1).to_vec();
        return Ok(WantedSystem { kid, system, elements });
    }
    let mut elements = Vec::new();
    for child in element.elements() {
        let Some(asked) = element_of(child)? else {
            let text = "not known here, so it comes back as it came".to_owned();
            notes.push(Note { place: child.place(), text });
            continue;
        };
        if elements.contains(&asked) {
            let what = format!("{} in DRMSystem {system_id}", asked.name());
            return Err(Fault::at(FaultKind::Repeated { what }, child.place()));
        }
        if system.has(asked) {
            elements.push(asked);
        } else if system.tolerates(asked) {
            notes.push(Note { place: child.place(), text: format!("{system} has none, so it stays empty") });
        } else {
            let kind = FaultKind::NoSuchData { system_id, element: child.local.clone() };
            return Err(Fault::at(kind, child.place()).because("leave the element out"));
        }
    }
    Ok(WantedSystem { kid, system, elements })
}

/// The system of an element, and its id as the document writes it.
fn system_of(element: &Element) -> Result<(DrmSystem, String), Fault> {
    let id = values::kid(element, "systemId", "DRMSystem@systemId")?;
    let system_id = element.attribute("systemId").unwrap_or_default().trim().to_owned();
    match DrmSystem::of_id(&id) {
        Some(system) => Ok((system, system_id)),
        None => Err(Fault::at(FaultKind::UnsupportedSystem { system_id }, element.place())
            .because(format!("the systems are {}", DrmSystem::ALL.map(DrmSystem::name).join(", ")))),
    }
}

/// Which element of a system it is; `None` for one that is not known.
pub(crate) fn element_of(child: &Element) -> Result<Option<SystemElement>, Fault> {
    Ok(Some(match (child.namespace, child.local.as_str()) {
        (Namespace::Cpix, "PSSH") => SystemElement::Pssh,
        (Namespace::Cpix, "ContentProtectionData") => SystemElement::ContentProtectionData,
        (Namespace::Cpix, "SmoothStreamingProtectionHeaderData") | (Namespace::Speke, "ProtectionHeader") => {
            SystemElement::SmoothHeader
        }
        (Namespace::Cpix, "URIExtXKey") => SystemElement::UriExtXKey,
        (Namespace::Speke, "KeyFormat") => SystemElement::KeyFormat,
        (Namespace::Speke, "KeyFormatVersions") => SystemElement::KeyFormatVersions,
        (Namespace::Cpix, "HLSSignalingData") => match child.attribute("playlist").map(str::trim) {
            None | Some("media") => SystemElement::HlsMedia,
            Some("master" | "multiVariant") => SystemElement::HlsMaster,
            Some(_) => {
                let form = "it must be media, and master or multiVariant";
                let what = "HLSSignalingData@playlist";
                return Err(Fault::at(FaultKind::Malformed { what, form }, child.place()));
            }
        },
        _ => return Ok(None),
    }))
}
