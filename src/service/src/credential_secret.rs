//! What a credential's key file must hold, by its scheme, and the form in which it is stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

use keymoot_auth::ClientCertificate;
use keymoot_crypto::SecretBytes;
use keymoot_model::Scheme;
use keymoot_protocol::widevine::WidevineKey;

/// The shortest secret that requests are signed with: as long as the security that is worth having. Those that were
/// stored before there was one for SHA-1 go on, and are named.
pub(super) const SIGNING_KEY_BYTES_MIN: usize = 16;
const PASSWORD_BYTES_MIN: usize = 12;
/// What stands before the 32 bytes of an Ed25519 key in a public key file (RFC 8410).
const ED25519_HEADER: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Checks what a key file holds and puts it into the form that is stored, or says what it must hold.
pub(super) fn stored_secret(scheme: Scheme, text: SecretBytes) -> Result<SecretBytes, &'static str> {
    match scheme {
        Scheme::WidevineAes | Scheme::WidevineRsa if WidevineKey::read(scheme, text.expose()).is_some() => {
            Ok(text)
        }
        Scheme::WidevineAes => Err("AES key and IV as 64 and 32 hexadecimal digits with a colon between"),
        Scheme::WidevineRsa => Err(
            "an RSA public key in PEM, of 2048 to 8192 bits, its modulus odd and its exponent odd and above 1",
        ),
        Scheme::UdrmSha1 | Scheme::HttpHmacSha256 | Scheme::AwsSigV4
            if text.len() >= SIGNING_KEY_BYTES_MIN =>
        {
            Ok(text)
        }
        Scheme::UdrmSha1 | Scheme::HttpHmacSha256 | Scheme::AwsSigV4 => {
            Err("at least 16 bytes; openssl rand -base64 24 makes a good one")
        }
        Scheme::Basic | Scheme::Digest if text.len() >= PASSWORD_BYTES_MIN => Ok(text),
        Scheme::Basic | Scheme::Digest => Err("a password of at least 12 bytes"),
        Scheme::HttpEd25519 => public_key(text.expose())
            .map(SecretBytes::new)
            .ok_or("an Ed25519 public key, in PEM or as base64 of its 32 bytes"),
        Scheme::MutualTls => std::str::from_utf8(text.expose())
            .ok()
            .and_then(|text| ClientCertificate::mark(text.trim()))
            .map(|mark| SecretBytes::new(mark.into_bytes()))
            .ok_or("sha256:HEX of the certificate, or dns:NAME, uri:URI or email:ADDRESS of its names"),
    }
}

fn public_key(text: &[u8]) -> Option<Vec<u8>> {
    let bytes = match SubjectPublicKeyInfoDer::from_pem_slice(text) {
        Ok(info) => info.strip_prefix(&ED25519_HEADER)?.to_vec(),
        Err(_) => STANDARD.decode(text.trim_ascii()).ok()?,
    };
    (bytes.len() == 32).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(scheme: Scheme, text: &str) -> Option<Vec<u8>> {
        stored_secret(scheme, SecretBytes::new(text.as_bytes().to_vec())).ok().map(|s| s.expose().to_vec())
    }

    #[test]
    fn the_public_key_of_rfc_9421_is_the_same_from_either_form() {
        let base64 = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----";
        let key = stored(Scheme::HttpEd25519, base64).unwrap();
        assert_eq!(stored(Scheme::HttpEd25519, pem).unwrap(), key);
        assert_eq!(stored(Scheme::HttpEd25519, "AAAA"), None);
    }

    #[test]
    fn secrets_too_short_to_be_any_use_are_refused() {
        for scheme in [Scheme::HttpHmacSha256, Scheme::UdrmSha1] {
            assert!(stored(scheme, "0123456789abcde").is_none(), "{scheme}");
            assert!(stored(scheme, "0123456789abcdef").is_some(), "{scheme}");
        }
        assert!(stored(Scheme::UdrmSha1, "k").is_none(), "one byte is guessed in 256 tries");
        assert!(stored(Scheme::Basic, "short").is_none() && stored(Scheme::Digest, "short").is_none());
        assert!(stored(Scheme::HttpHmacSha256, "0123456789abcdef").is_some());
        assert!(stored(Scheme::Basic, "long enough to do").is_some());
    }

    #[test]
    fn a_certificate_is_named_by_fingerprint_or_name() {
        assert_eq!(stored(Scheme::MutualTls, "dns:Packager.Example\n").unwrap(), b"dns:packager.example");
        assert!(stored(Scheme::MutualTls, "packager").is_none());
    }
}
