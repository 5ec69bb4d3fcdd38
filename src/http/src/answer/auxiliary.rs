//! The parts of an answer that are stored with a content or made for its systems: auxiliary data, and the
//! entries of `pssh`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use keymoot_drm::SystemId;
use keymoot_model::Auxiliary;

/// What one DRM system needs to know of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = SystemData)]
pub struct PsshEntry {
    /// Base64 of the system's data, without the header of the pssh box.
    data: String,
    /// Lower-case dashed GUID of the system.
    uuid: String,
}

/// Auxiliary data: stored with a content and given back unchanged.
#[derive(Serialize, ToSchema)]
#[schema(as = AuxiliaryData)]
pub struct AuxiliaryData<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// At most 8.
    ratings: Vec<Rating<'a>>,
    /// Controls by their names; at most 16.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    output_protection: &'a BTreeMap<String, String>,
    /// The Super CAS ID of DVB SimulCrypt: 32 bits, such as `0x4ad40001`.
    #[serde(skip_serializing_if = "Option::is_none")]
    super_cas_id: Option<String>,
    /// Protection system specific headers, at most 4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system_headers: Vec<PsshEntry>,
}

/// How a content is rated by one scheme.
#[derive(Serialize, ToSchema)]
pub struct Rating<'a> {
    /// Who rates, such as `urn:mpaa`.
    scheme: &'a str,
    /// The rating, such as `PG-13`.
    value: &'a str,
}

/// Stored auxiliary data, as an answer has it.
pub fn aux(auxiliary: &Auxiliary) -> AuxiliaryData<'_> {
    let ratings =
        auxiliary.ratings.iter().map(|rating| Rating { scheme: &rating.scheme, value: &rating.value });
    let headers =
        auxiliary.system_headers.iter().map(|header| pssh(SystemId::from_bytes(header.system), &header.data));
    AuxiliaryData {
        ratings: ratings.collect(),
        output_protection: &auxiliary.output_protection,
        super_cas_id: auxiliary.super_cas_id.map(|id| format!("0x{id:08x}")),
        system_headers: headers.collect(),
    }
}

/// An entry of `pssh`.
pub fn pssh(system: SystemId, data: &[u8]) -> PsshEntry {
    PsshEntry { data: STANDARD.encode(data), uuid: system.to_string() }
}
