//! What a packager is answered in SOAP: key and PlayReady Object. Refusals are faults (`answer::soap`).
//!
//! Packagers look for `<KeyId>`, `<KeyData>` and `<Data>` by their text, so these tags have neither
//! prefix nor attributes. Everything else here is escaped or of a form without XML's own signs.

use actix_web::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::soap::{CLOSE, CONTENT_TYPE, OPEN};
use crate::answer::wiped_json::{WipedText, wiped};
use keymoot_drm::SystemData;
use keymoot_service::ServedKey;

/// The answer that hands out a key with its PlayReady Object.
pub(super) fn packaging_data(served: &ServedKey, object: &SystemData) -> HttpResponse {
    let text = text(&served.kid.to_string(), &served.key.to_base64(), object);
    HttpResponse::Ok()
        .content_type(CONTENT_TYPE)
        .insert_header(("Cache-Control", "no-store"))
        .body(wiped(text.into_bytes()))
}

fn text(key_id: &str, key: &str, object: &SystemData) -> WipedText {
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
    let mut whole = WipedText::with_room_for(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| whole.push(part.as_bytes()));
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_drm::SystemId;

    #[test]
    fn the_tags_that_packagers_look_for_are_bare_and_there_once() {
        let object = SystemData { uuid: SystemId::PLAYREADY, data: b"object".to_vec() };
        let text = text("30313233-3435-3637-3839-616263646566", "a2V5", &object).into_bytes();
        let text = std::str::from_utf8(&text).unwrap();
        for (tag, value) in
            [("KeyId", "30313233-3435-3637-3839-616263646566"), ("KeyData", "a2V5"), ("Data", "b2JqZWN0")]
        {
            let element = format!("<{tag}>{value}</{tag}>");
            assert_eq!(text.matches(&element).count(), 1, "{tag}");
            assert_eq!(text.matches(&format!("<{tag}>")).count(), 1, "{tag}");
        }
        assert!(quick_xml::de::from_str::<serde::de::IgnoredAny>(text).is_ok());
    }
}
