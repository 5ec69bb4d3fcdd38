//! Reads WRMHEADERs of versions 4.0 to 4.3 from any writer.
//!
//! The versions put keys in three places: `DATA/KID` (4.0), `PROTECTINFO/KID` (4.1) and
//! `PROTECTINFO/KIDS/KID` (4.2, 4.3). All three are read in every version; unknown elements are skipped.
//! Document types are not supported, so there are no entities to expand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{PlayReadyError, swap_guid};
use keymoot_model::Kid;

/// The content of a PlayReady header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrmHeader {
    /// The version of the header: `4.0.0.0`.
    pub version: String,
    /// The keys it names, in order.
    pub keys: Vec<WrmKey>,
    /// The license URL.
    pub license_url: Option<String>,
}

/// A key that a header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrmKey {
    /// The key id, in the order of its text form.
    pub kid: Kid,
    /// `AESCTR`, `AESCBC` or `COCKTAIL`.
    pub algorithm: Option<String>,
    /// The checksum of key and key id; eight bytes for AES, seven for Cocktail.
    pub checksum: Option<Vec<u8>>,
}

impl WrmHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// [`PlayReadyError::Header`] when the text is no such header.
    pub fn parse(xml: &str) -> Result<Self, PlayReadyError> {
        // The deserializer does not check the root's name, so it is checked here; a header starts with it.
        if !xml.trim_start().starts_with("<WRMHEADER") {
            return Err(PlayReadyError::Header("it does not begin with WRMHEADER"));
        }
        let header: HeaderElement = quick_xml::de::from_str(xml)
            .map_err(|_| PlayReadyError::Header("its XML does not have the form of the specification"))?;
        Ok(Self {
            keys: header.data.keys()?,
            version: header.version,
            license_url: header.data.la_url.filter(|url| !url.is_empty()),
        })
    }
}

#[derive(Deserialize)]
struct HeaderElement {
    #[serde(rename = "@version")]
    version: String,
    #[serde(rename = "DATA", default)]
    data: DataElement,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "UPPERCASE", default)]
struct DataElement {
    protectinfo: ProtectInfoElement,
    kid: Option<String>,
    checksum: Option<String>,
    la_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "UPPERCASE", default)]
struct ProtectInfoElement {
    algid: Option<String>,
    kid: Vec<KidElement>,
    kids: KidsElement,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "UPPERCASE", default)]
struct KidsElement {
    kid: Vec<KidElement>,
}

#[derive(Deserialize)]
struct KidElement {
    #[serde(rename = "@ALGID")]
    algorithm: Option<String>,
    #[serde(rename = "@CHECKSUM")]
    checksum: Option<String>,
    #[serde(rename = "@VALUE")]
    value: String,
}

impl DataElement {
    fn keys(&self) -> Result<Vec<WrmKey>, PlayReadyError> {
        let single = self
            .kid
            .iter()
            .map(|kid| read_key(kid, self.protectinfo.algid.as_deref(), self.checksum.as_deref()));
        let listed = self
            .protectinfo
            .kid
            .iter()
            .chain(&self.protectinfo.kids.kid)
            .map(|kid| read_key(&kid.value, kid.algorithm.as_deref(), kid.checksum.as_deref()));
        single.chain(listed).collect()
    }
}

fn read_key(kid: &str, algorithm: Option<&str>, checksum: Option<&str>) -> Result<WrmKey, PlayReadyError> {
    let decode = |text: &str| {
        STANDARD
            .decode(text.trim())
            .map_err(|_| PlayReadyError::Header("it holds a value that is not base64"))
    };
    let guid = decode(kid)?
        .try_into()
        .map_err(|_| PlayReadyError::Header("it holds a key id that is not 16 bytes long"))?;
    Ok(WrmKey {
        kid: Kid::from_bytes(swap_guid(&guid)),
        algorithm: algorithm.map(|text| text.trim().to_owned()),
        checksum: checksum.map(decode).transpose()?,
    })
}
