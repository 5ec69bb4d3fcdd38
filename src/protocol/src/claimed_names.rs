//! Which account a request's headers name, before anything is proved: for protocols whose requests name none.

use super::authorization::user_name;
use super::http_signature::key_ids;
use super::{CredentialName, Envelope};

/// The names that message signatures and `Authorization` bear, those of signatures first.
pub fn claimed_names(envelope: &Envelope) -> Vec<CredentialName> {
    let of_signatures = key_ids(envelope).into_iter();
    of_signatures.chain(user_name(envelope)).filter_map(|text| CredentialName::parse(&text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &[(&str, &str)]) -> Vec<String> {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let names = claimed_names(&Envelope { headers, ..Envelope::default() });
        names.into_iter().map(|name| name.account.to_string()).collect()
    }

    #[test]
    fn each_kind_of_proof_names_its_account() {
        let signed = ("signature-input", r#"keymoot=("@method");keyid="167/key";created=1"#);
        assert_eq!(names(&[signed]), ["167"]);
        assert_eq!(names(&[("authorization", "Basic MTY4OnB3")]), ["168"]);
        assert_eq!(names(&[("authorization", r#"Digest username="169/x", realm="keymoot""#)]), ["169"]);
        assert_eq!(names(&[("authorization", "Basic MTY4OnB3"), signed]), ["167", "168"]);
        for none in ["", "Bearer x", "Basic !", "Digest"] {
            assert!(names(&[("authorization", none)]).is_empty(), "{none}");
        }
    }
}
