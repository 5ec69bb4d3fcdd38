//! The associated data that binds a ciphertext to its place: one unambiguous encoding.
//!
//! Every encoding starts with a domain, so that a wrapping of one kind never opens as another, and every
//! field carries its length, so that no two lists of fields encode alike.

use keymoot_model::{
    AccountId, ContentId, KeyKind, KeyPath, KeyRecord, Kid, OperatorName, Period, Scope, SignInSecret,
};

/// The kinds of secrets that are wrapped. A name here is part of the stored format and never changes.
const CONTENT_KEY: &str = "keymoot/content-key/1";
const CREDENTIAL: &str = "keymoot/credential/1";
const SERVER_SECRET: &str = "keymoot/server-secret/1";
const AUTHORITY: &str = "keymoot/authority/1";
const CHECK_VALUE: &str = "keymoot/check-value/1";
const PERIOD_KEY: &str = "keymoot/period-key/1";
const PERIOD_SEED: &str = "keymoot/period-seed/1";
const KID_KEY: &str = "keymoot/kid-key/1";
const SIGN_IN: &str = "keymoot/operator-sign-in/1";
const EXPORTED_KEY: &str = "keymoot/exported-key/1";
const DOCUMENT_SEED: &str = "keymoot/document-seed/1";
/// The purposes of derived keys. Not wrapped, but encoded in the same way.
const DERIVED_KEY: &str = "keymoot/derived-key/1";
const PROTECTED_DOCUMENT_KEY: &str = "keymoot/document-key/protected/1";
const CLEAR_DOCUMENT_KEY: &str = "keymoot/document-key/clear/1";
const DOCUMENT_KID: &str = "keymoot/document-kid/1";
/// The data that a proof of a master key covers. Neither wrapped nor stored, but encoded in the same way.
const KEYRING_PROOF: &str = "keymoot/keyring-proof/1";

/// The data that the signature of a backup covers. Encoded in the same way.
const BACKUP_SIGNATURE: &str = "keymoot/backup-signature/1";

/// The associated data of a content key.
pub(super) fn content_key(place: &KeyPath, version: u32, kid: &Kid) -> Vec<u8> {
    encode(
        CONTENT_KEY,
        &[
            place.account.as_str().as_bytes(),
            place.content.as_str().as_bytes(),
            place.track.as_str().as_bytes(),
            &version.to_be_bytes(),
            kid.as_bytes(),
        ],
    )
}

/// The associated data of a record's key, which holds for the whole track or for one period.
pub(super) fn key_of(record: &KeyRecord) -> Vec<u8> {
    match record.period {
        None => content_key(&record.place, record.version, &record.kid),
        Some(period) => period_key(&record.place, record.version, &record.kid, period),
    }
}

/// The associated data of an account's signing key.
pub(super) fn credential(account: &AccountId, name: &str, scope: Scope) -> Vec<u8> {
    let scope: &[u8] = match scope {
        Scope::Encryption => b"encryption",
        Scope::License => b"license",
        Scope::Policy => b"policy",
        Scope::Admin => b"admin",
    };
    encode(CREDENTIAL, &[account.as_str().as_bytes(), name.as_bytes(), scope])
}

/// The associated data of the secret that a cluster's servers prove themselves with.
pub(super) fn server_secret() -> Vec<u8> {
    encode(SERVER_SECRET, &[])
}

/// The associated data of the private key of a cluster's certificate authority.
pub(super) fn authority(cluster: &str) -> Vec<u8> {
    encode(AUTHORITY, &[cluster.as_bytes()])
}

/// The associated data of what an operator signs in with.
pub(super) fn sign_in(operator: &OperatorName, kind: SignInSecret) -> Vec<u8> {
    let kind: &[u8] = match kind {
        SignInSecret::Password => b"password",
        SignInSecret::Codes => b"codes",
    };
    encode(SIGN_IN, &[operator.as_str().as_bytes(), kind])
}

/// The associated data of a cluster's check value.
pub(super) fn check_value(cluster_id: &str) -> Vec<u8> {
    encode(CHECK_VALUE, &[cluster_id.as_bytes()])
}

/// The associated data of a key that was supplied for one period.
pub(super) fn period_key(place: &KeyPath, version: u32, kid: &Kid, period: Period) -> Vec<u8> {
    encode(
        PERIOD_KEY,
        &[
            place.account.as_str().as_bytes(),
            place.content.as_str().as_bytes(),
            place.track.as_str().as_bytes(),
            &version.to_be_bytes(),
            kid.as_bytes(),
            &period.length_s.to_be_bytes(),
            &period.index.to_be_bytes(),
        ],
    )
}

/// The associated data of the seed of a rotating track.
pub(super) fn period_seed(place: &KeyPath, version: u32, length_s: u32) -> Vec<u8> {
    encode(
        PERIOD_SEED,
        &[
            place.account.as_str().as_bytes(),
            place.content.as_str().as_bytes(),
            place.track.as_str().as_bytes(),
            &version.to_be_bytes(),
            &length_s.to_be_bytes(),
        ],
    )
}

/// The associated data of the key that encrypts places into key ids.
pub(super) fn kid_key() -> Vec<u8> {
    encode(KID_KEY, &[])
}

/// The HKDF info of the key of one period.
pub(super) fn derived_key(place: &KeyPath, period: Period) -> Vec<u8> {
    encode(
        DERIVED_KEY,
        &[
            place.account.as_str().as_bytes(),
            place.content.as_str().as_bytes(),
            place.track.as_str().as_bytes(),
            &period.length_s.to_be_bytes(),
            &period.index.to_be_bytes(),
        ],
    )
}

/// The associated data of a seed that an account's documents derive their keys from.
pub(super) fn document_seed(account: &AccountId, id: u64) -> Vec<u8> {
    encode(DOCUMENT_SEED, &[account.as_str().as_bytes(), &id.to_be_bytes()])
}

/// The HKDF info of a document's key. Keys of the two kinds are derived in contexts of their own.
pub(super) fn document_key(
    kind: KeyKind,
    account: &AccountId,
    content: &ContentId,
    version: u32,
    kid: &Kid,
) -> Vec<u8> {
    let context = match kind {
        KeyKind::Protected => PROTECTED_DOCUMENT_KEY,
        KeyKind::Clear => CLEAR_DOCUMENT_KEY,
    };
    let (account, content) = (account.as_str().as_bytes(), content.as_str().as_bytes());
    encode(context, &[account, content, &version.to_be_bytes(), kid.as_bytes()])
}

/// The HKDF info of the key under which a content's replaced key ids are made.
pub(super) fn document_kid(account: &AccountId, content: &ContentId, first: u32) -> Vec<u8> {
    let (account, content) = (account.as_str().as_bytes(), content.as_str().as_bytes());
    encode(DOCUMENT_KID, &[account, content, &first.to_be_bytes()])
}

/// The associated data of a key that is sealed for a recipient.
pub(super) fn exported_key(place: &KeyPath, version: u32, kid: &Kid, period: Option<Period>) -> Vec<u8> {
    let period = period
        .map_or_else(Vec::new, |period| [period.length_s.to_be_bytes(), period.index.to_be_bytes()].concat());
    encode(
        EXPORTED_KEY,
        &[
            place.account.as_str().as_bytes(),
            place.content.as_str().as_bytes(),
            place.track.as_str().as_bytes(),
            &version.to_be_bytes(),
            kid.as_bytes(),
            &period,
        ],
    )
}

/// The bytes that a proof of a master key covers.
pub(super) fn keyring_proof(fields: &[&[u8]]) -> Vec<u8> {
    encode(KEYRING_PROOF, fields)
}

/// The bytes that the signature of a backup covers.
pub(super) fn backup_signature(fields: &[&[u8]]) -> Vec<u8> {
    encode(BACKUP_SIGNATURE, fields)
}

fn encode(domain: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut encoded =
        Vec::with_capacity(fields.iter().map(|f| f.len() + 8).sum::<usize>() + domain.len() + 8);
    for field in std::iter::once(&domain.as_bytes()).chain(fields) {
        // A 64-bit length cannot wrap.
        encoded.extend_from_slice(&(field.len() as u64).to_be_bytes());
        encoded.extend_from_slice(field);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_stored_encoding_does_not_change() {
        assert_eq!(
            check_value("c1"),
            [&21_u64.to_be_bytes()[..], b"keymoot/check-value/1", &2_u64.to_be_bytes(), b"c1"].concat()
        );
    }

    proptest! {
        #[test]
        fn different_fields_never_encode_alike(
            a in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..5),
            b in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..5),
        ) {
            let slices = |fields: &'_ Vec<Vec<u8>>| fields.concat();
            let one = encode("d", &a.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let two = encode("d", &b.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(one == two, a == b, "{:?} {:?}", slices(&a), slices(&b));
        }
    }

    #[test]
    fn moving_a_letter_between_fields_changes_the_encoding() {
        assert_ne!(encode("d", &[b"ab", b"c"]), encode("d", &[b"a", b"bc"]));
        assert_ne!(encode("d", &[b"a", b""]), encode("d", &[b"a"]));
        assert_ne!(encode("da", &[b"b"]), encode("d", &[b"ab"]));
    }
}
