//! Keys that leave encrypted: to whom, and never to nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};

use super::*;

/// A certificate of a fresh key, as a document carries it.
fn certificate(rsa: bool) -> String {
    let key = if rsa {
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
    } else {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
    };
    let certificate =
        CertificateParams::new(["encryptor.example".to_owned()]).unwrap().self_signed(&key.unwrap());
    STANDARD.encode(certificate.unwrap().der())
}

fn with_delivery(inside: &str) -> String {
    changed(
        "<cpix:ContentKeyList>",
        &format!("<cpix:DeliveryDataList>{inside}</cpix:DeliveryDataList><cpix:ContentKeyList>"),
    )
}

fn recipient(certificate: &str) -> String {
    format!(
        "<cpix:DeliveryData id=\"d\"><cpix:DeliveryKey><s:X509Data xmlns:s=\"http://www.w3.org/2000/09/xmldsig#\">\
         <s:X509Certificate>{certificate}</s:X509Certificate></s:X509Data></cpix:DeliveryKey><cpix:Description>x</cpix:Description></cpix:DeliveryData>"
    )
}

#[test]
fn keys_for_recipients_are_encrypted_to_each_and_never_in_the_clear() {
    let document =
        with_delivery(&format!("{}{}", recipient(&certificate(true)), recipient(&certificate(true))));
    let request = read(&document, Protocol::Speke2_0).unwrap();
    assert_eq!(request.wanted().recipients.len(), 2);
    assert!(request.wanted().recipients[0].subject.contains("rcgen"), "{:?}", request.wanted().recipients[0]);
    let answer = answer(&document, Protocol::Speke2_0);
    assert!(!answer.contains("PlainValue"));
    assert_eq!(
        answer
            .matches("<cpix:DocumentKey Algorithm=\"http://www.w3.org/2001/04/xmlenc#aes256-cbc\">")
            .count(),
        2
    );
    assert_eq!(answer.matches("<cpix:MACMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#hmac-sha512\"><cpix:Key><pskc:EncryptedValue><enc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\"/>").count(), 2);
    assert_eq!(
        answer.matches("</pskc:EncryptedValue><pskc:ValueMAC>").count(),
        2,
        "one for each content key"
    );
    assert_eq!(answer.matches("xmlns:enc=\"http://www.w3.org/2001/04/xmlenc#\"").count(), 1);
    // DeliveryKey, DocumentKey, MACMethod, Description: the order of the schema.
    let order: Vec<usize> = [
        "</cpix:DeliveryKey><cpix:DocumentKey",
        "</cpix:DocumentKey><cpix:MACMethod",
        "</cpix:MACMethod><cpix:Description",
    ]
    .map(|pair| answer.find(pair).unwrap_or_else(|| panic!("{pair}: {answer}")))
    .into();
    assert!(order.is_sorted());
    for key in keys_of(read(&document, Protocol::Speke2_0).unwrap().wanted()) {
        assert!(!answer.contains(&STANDARD.encode(key.key.expose())));
    }
    let preview = read(&document, Protocol::Speke2_0).unwrap().preview(&settings()).unwrap();
    assert!(String::from_utf8(preview).unwrap().contains("<pskc:EncryptedValue/>"));
}

#[test]
fn nobody_asked_and_nothing_is_encrypted() {
    for document in [document(), with_delivery("")] {
        let answer = answer(&document, Protocol::Speke2_0);
        assert!(
            answer.contains("PlainValue") && !answer.contains("EncryptedValue") && !answer.contains("xmlenc")
        );
    }
}

#[test]
fn who_asks_for_encryption_without_a_usable_certificate_gets_no_key() {
    let missing = "Missing DeliveryData/DeliveryKey/X509Data/X509Certificate";
    let of_rsa = certificate(true);
    for (inside, text) in [
        ("<cpix:DeliveryData/>".to_owned(), missing),
        ("<cpix:DeliveryData><cpix:DeliveryKey/></cpix:DeliveryData>".to_owned(), missing),
        (recipient(" "), missing),
        (recipient("***"), "Unusable DeliveryKey: X509Certificate is not base64"),
        (recipient("AAAA"), "Unusable DeliveryKey: X509Certificate is not a certificate in DER"),
        (recipient(&of_rsa[..400]), "Unusable DeliveryKey: X509Certificate is not a certificate in DER"),
        (
            recipient(&certificate(false)),
            "Unusable DeliveryKey: the certificate's key must be RSA of 2048 to 8192 bits",
        ),
        (
            recipient(&of_rsa).repeat(crate::RECIPIENTS_MAX + 1),
            "The CPIX document has more than 16 recipients",
        ),
    ] {
        let fault = refusal(&with_delivery(&inside), Protocol::Speke2_0);
        assert_eq!((fault.text().as_str(), fault.status()), (text, 422));
    }
    // One sound recipient does not make up for another.
    let fault =
        refusal(&with_delivery(&format!("{}<cpix:DeliveryData/>", recipient(&of_rsa))), Protocol::Speke2_0);
    assert_eq!(fault.text(), missing);
}

#[test]
fn an_account_can_demand_that_keys_leave_encrypted_only() {
    let settings = Settings { demands_encryption: true, ..settings() };
    let parse = |document: &str| Request::parse(document.as_bytes(), Protocol::Speke2_0, &settings);
    for document in [document(), with_delivery("")] {
        let fault = parse(&document).unwrap_err();
        assert_eq!(
            fault.text(),
            "Keys are delivered encrypted only; send a DeliveryDataList with a certificate"
        );
    }
    parse(&with_delivery(&recipient(&certificate(true)))).unwrap();
}

#[test]
fn what_a_request_says_of_document_keys_is_replaced() {
    let given = "<cpix:DocumentKey><cpix:Data/></cpix:DocumentKey><cpix:MACMethod Algorithm=\"none\"/>";
    let inside =
        recipient(&certificate(true)).replace("<cpix:Description>", &format!("{given}<cpix:Description>"));
    let answer = answer(&with_delivery(&inside), Protocol::Speke2_0);
    assert!(!answer.contains("\"none\"") && answer.matches("<cpix:DocumentKey").count() == 1);
}
