//! Writes the WRMHEADER, the XML in a PlayReady Object.
//!
//! Clients compare and parse it as canonical XML: no white space between elements, attributes in alphabetical
//! order after the namespace, every element with its own end tag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{LicenseUrl, swap_guid};
use keymoot_model::Kid;

/// A version 4.0 header: one key in counter mode. Every PlayReady client reads it.
pub(super) fn counter_mode(kid: &Kid, checksum: Option<[u8; 8]>, license_url: Option<&LicenseUrl>) -> String {
    // Porting kits before 2.0 require the checksum, so it is written whenever the key is available.
    let checksum = element("CHECKSUM", checksum.map(|bytes| STANDARD.encode(bytes)));
    let kid = guid_base64(kid);
    wrm_header(
        "4.0.0.0",
        &format!(
            "<PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO><KID>{kid}</KID>{checksum}"
        ),
        license_url,
    )
}

/// A version 4.3 header, the first that can say CBC mode.
pub(super) fn cbc_mode(kid: &Kid, license_url: Option<&LicenseUrl>) -> String {
    let kid = guid_base64(kid);
    wrm_header(
        "4.3.0.0",
        &format!("<PROTECTINFO><KIDS><KID ALGID=\"AESCBC\" VALUE=\"{kid}\"></KID></KIDS></PROTECTINFO>"),
        license_url,
    )
}

fn wrm_header(version: &str, keys: &str, license_url: Option<&LicenseUrl>) -> String {
    let license_url = element("LA_URL", license_url.map(LicenseUrl::as_xml));
    format!(
        "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" version=\"{version}\">\
         <DATA>{keys}{license_url}</DATA></WRMHEADER>"
    )
}

/// The element, or empty text without a value: an empty element is not allowed.
fn element(name: &str, text: Option<impl AsRef<str>>) -> String {
    text.map_or_else(String::new, |text| format!("<{name}>{}</{name}>", text.as_ref()))
}

fn guid_base64(kid: &Kid) -> String {
    STANDARD.encode(swap_guid(kid.as_bytes()))
}
