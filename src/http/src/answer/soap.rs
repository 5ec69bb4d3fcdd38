//! SOAP 1.1: the envelope of an answer, and a refusal as a fault.

use quick_xml::escape::escape;

use crate::answer::error::ApiError;

/// What SOAP 1.1 is sent as.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// What stands before the content of the body.
pub const OPEN: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope \
                    xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>";
/// What stands behind it.
pub const CLOSE: &str = "</soap:Body></soap:Envelope>";

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
    use crate::answer::error::ErrorKind;

    #[test]
    fn a_fault_is_xml_with_the_reference_and_the_status_of_its_kind() {
        for (kind, status, whose) in
            [(ErrorKind::Invalid, 400, "Client"), (ErrorKind::NoQuorum, 503, "Server")]
        {
            let error = ApiError::new(kind, "a < b & c").into_soap_fault();
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
