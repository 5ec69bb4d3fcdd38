//! What stands inside of DASH's `ContentProtection`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::partial_escape;

/// The whole box; its text equals that of the document's `PSSH`.
pub(super) fn pssh(pssh_box: &[u8]) -> String {
    format!("<pssh xmlns=\"urn:mpeg:cenc:2013\">{}</pssh>", STANDARD.encode(pssh_box))
}

/// PlayReady's own element, for players that look for it first.
pub(super) fn playready_object(object: &[u8]) -> String {
    format!("<pro xmlns=\"urn:microsoft:playready\">{}</pro>", STANDARD.encode(object))
}

/// Where Clear Key licenses are: each alone is enough.
pub(super) fn license_urls(urls: &[String]) -> String {
    let elements = urls.iter().map(|url| {
        let url = partial_escape(url.as_str());
        format!("<Laurl xmlns=\"https://dashif.org/CPS\" licenseType=\"EME-1.0\">{url}</Laurl>")
    });
    elements.collect()
}
