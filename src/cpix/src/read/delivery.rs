//! `DeliveryDataList`: to whom keys are encrypted.

use keymoot_crypto::KeyRecipient;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{list, values};
use crate::fault::{Fault, FaultKind};
use crate::xml::{Element, Namespace};

/// The most recipients of one document. Each costs two operations with its key.
pub const RECIPIENTS_MAX: usize = 16;

/// Who gets the keys of a document: the holder of a certificate's key.
#[derive(Debug)]
pub struct Recipient {
    /// The subject of the certificate, as people read it.
    pub subject: String,
    pub(crate) key: KeyRecipient,
}

pub(super) fn read(root: &Element) -> Result<Vec<Recipient>, Fault> {
    let mut recipients = Vec::new();
    for element in list(root, "DeliveryDataList", "DeliveryData") {
        if recipients.len() >= RECIPIENTS_MAX {
            let kind = FaultKind::TooLarge { what: "recipients", max: RECIPIENTS_MAX };
            return Err(Fault::at(kind, element.place()));
        }
        recipients.push(recipient(element)?);
    }
    Ok(recipients)
}

/// A list is never passed over: who asks for encryption and gets a key in the clear has lost it.
fn recipient(element: &Element) -> Result<Recipient, Fault> {
    let certificate = element
        .child(Namespace::Cpix, "DeliveryKey")
        .and_then(|key| key.child(Namespace::XmlSignature, "X509Data"))
        .and_then(|data| data.child(Namespace::XmlSignature, "X509Certificate"));
    let Some(certificate) = certificate.filter(|certificate| !certificate.is_blank()) else {
        let what = "DeliveryData/DeliveryKey/X509Data/X509Certificate";
        return Err(Fault::at(FaultKind::Missing { what }, element.place()));
    };
    let refuse = |what| Fault::at(FaultKind::Recipient { what }, certificate.place());
    let der = values::base64(&certificate.text()).ok_or_else(|| refuse("X509Certificate is not base64"))?;
    let (rest, parsed) =
        X509Certificate::from_der(&der).map_err(|_| refuse("X509Certificate is not a certificate in DER"))?;
    if !rest.is_empty() {
        return Err(refuse("there are bytes behind the certificate"));
    }
    let key = KeyRecipient::from_spki(parsed.public_key().raw)
        .ok_or_else(|| refuse("the certificate's key must be RSA of 2048 to 8192 bits"))?;
    let subject = parsed.subject().to_string().chars().filter(|c| !c.is_control()).take(200).collect();
    Ok(Recipient { subject, key })
}
