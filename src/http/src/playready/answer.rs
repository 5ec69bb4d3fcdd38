//! What a packager is answered in SOAP: key and PlayReady Object, or a fault.
//!
//! Packagers look for `<KeyId>`, `<KeyData>` and `<Data>` by their text, so these tags have neither
//! prefix nor attributes. Everything else here is escaped or of a form without XML's own signs.

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::escape;
use zeroize::Zeroizing;

use crate::error::ApiError;
use keymoot_drm::SystemData;
use keymoot_service::ServedKey;

/// What SOAP 1.1 is sent as.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

const OPEN: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope \
                    xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>";
const CLOSE: &str = "</soap:Body></soap:Envelope>";

/// The answer that hands out a key with its PlayReady Object.
pub fn packaging_data(served: &ServedKey, object: &SystemData) -> HttpResponse {
    let text = text(&served.kid.to_string(), &served.key.to_base64(), object);
    // The framework sends and drops the last copy.
    HttpResponse::Ok()
        .content_type(CONTENT_TYPE)
        .insert_header(("Cache-Control", "no-store"))
        .body(Bytes::copy_from_slice(text.as_bytes()))
}

fn text(key_id: &str, key: &str, object: &SystemData) -> Zeroizing<String> {
    let (system, data) = (object.uuid, STANDARD.encode(&object.data));
    let parts = [
        OPEN,
        "<AcquirePackagingDataResponse xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols\">\
         <AcquirePackagingDataResult><StreamProtectionResponses><StreamProtectionResponse><KeyId>",
        key_id,
        "</KeyId><KeyData>",
        key,
        "</KeyData><ProtectionSystemData><ProtectionSystemId>",
        &system.to_string(),
        "</ProtectionSystemId><Data>",
        &data,
        "</Data></ProtectionSystemData></StreamProtectionResponse></StreamProtectionResponses>\
         </AcquirePackagingDataResult></AcquirePackagingDataResponse>",
        CLOSE,
    ];
    // With room for all of it, so that no shorter copy of the key stays behind.
    let mut whole = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| whole.push_str(part));
    whole
}

/// A refusal as a SOAP fault: whose it is, why, and the reference under which the log has more.
pub fn fault(error: &ApiError) -> String {
    let whose = if error.kind().status().is_server_error() { "Server" } else { "Client" };
    let (message, reference) = (escape(error.message()), error.reference());
    format!(
        "{OPEN}<soap:Fault><faultcode>soap:{whose}</faultcode><faultstring>{message} (reference \
         {reference})</faultstring><detail><reference>{reference}</reference></detail></soap:Fault>{CLOSE}"
    )
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;
    use actix_web::body::MessageBody as _;

    use super::*;
    use crate::error::ErrorKind;
    use keymoot_drm::SystemId;

    #[test]
    fn the_tags_that_packagers_look_for_are_bare_and_there_once() {
        let object = SystemData { uuid: SystemId::PLAYREADY, data: b"object".to_vec() };
        let text = text("30313233-3435-3637-3839-616263646566", "a2V5", &object);
        for (tag, value) in
            [("KeyId", "30313233-3435-3637-3839-616263646566"), ("KeyData", "a2V5"), ("Data", "b2JqZWN0")]
        {
            let element = format!("<{tag}>{value}</{tag}>");
            assert_eq!(text.matches(&element).count(), 1, "{tag}");
            assert_eq!(text.matches(&format!("<{tag}>")).count(), 1, "{tag}");
        }
        assert!(quick_xml::de::from_str::<serde::de::IgnoredAny>(&text).is_ok());
    }

    #[test]
    fn a_fault_is_xml_with_the_reference_and_the_status_of_its_kind() {
        for (kind, status, whose) in
            [(ErrorKind::Invalid, 400, "Client"), (ErrorKind::NoQuorum, 503, "Server")]
        {
            let error = ApiError::new(kind, "a < b & c").as_soap_fault();
            let reference = format!("<reference>{}</reference>", error.reference());
            let response = error.error_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers().get("content-type").unwrap(), CONTENT_TYPE);
            let body = response.into_body().try_into_bytes().unwrap();
            let text = std::str::from_utf8(&body).unwrap();
            assert!(text.contains(&reference) && text.contains("a &lt; b &amp; c"), "{text}");
            assert!(text.contains(&format!("<faultcode>soap:{whose}</faultcode>")), "{text}");
        }
    }
}
