//! What a request offers as proof, and trying an account's keys on it.
//!
//! A request may offer several proofs. All are tried, whatever comes of the others, and with as many
//! keys for an account that does not exist as for one that does, so that time tells nothing.

use std::hint::black_box;

use super::back_off::password_digest;
use super::{ClientCertificate, Nonce, SigningKey};
use keymoot_model::{AccountId, Scheme};
use keymoot_protocol::widevine::{WidevineKey, WidevineSignature};
use keymoot_protocol::{
    Authorization, AwsSignature, DigestNonces, Envelope, HttpSignature, HttpSignatureError, Signature,
    SignatureWindow,
};
use keymoot_protocol::{BasicAnswer, DigestAnswer};

/// How many keys are tried at least, dummies making up for those an account does not have. Two are
/// valid at once while a key is rolled over.
const KEYS_TRIED_MIN: usize = 2;

/// How many RSA keys are tried at most, because each costs as much as a hundred others. Whoever has more
/// names the credential.
const RSA_KEYS_TRIED_MAX: usize = 16;

const _: () = assert!(KEYS_TRIED_MIN <= RSA_KEYS_TRIED_MAX);

/// What stands in for keys that are not there. Matching it opens nothing.
pub(super) const DUMMY_KEY: &[u8] = b"this key belongs to no account..";

/// How a request's connection and headers prove it, beside the protocol's own signature.
#[derive(Default)]
pub struct PresentedProofs {
    certificate: Option<ClientCertificate>,
    message: Option<HttpSignature>,
    aws: Option<AwsSignature>,
    authorization: Option<Authorization>,
    /// There is a password or an answer that came over a connection anybody can read.
    is_overheard: bool,
}

impl PresentedProofs {
    /// Those of a request whose headers show none.
    pub fn of_connection(certificate: Option<ClientCertificate>) -> Self {
        Self { certificate, ..Self::default() }
    }

    /// Reads them. Over a connection that is not `confidential`, Basic and Digest are no proof.
    ///
    /// # Errors
    /// [`HttpSignatureError`] when there is a message signature that proves nothing, whoever made it.
    pub fn read(
        envelope: &Envelope,
        certificate: Option<ClientCertificate>,
        window: SignatureWindow,
        nonces: Option<&DigestNonces>,
        confidential: bool,
    ) -> Result<Self, HttpSignatureError> {
        let message = HttpSignature::read(envelope, window)?;
        let aws = AwsSignature::read(envelope, window)?;
        let authorization = Authorization::read(envelope, nonces);
        let is_overheard = !confidential && authorization.is_some();
        let authorization = authorization.filter(|_| confidential);
        Ok(Self { certificate, message, aws, authorization, is_overheard })
    }

    /// The digest of the password that was sent, if one was.
    pub(super) fn password_digest(&self, salt: &[u8; 32]) -> Option<[u8; 32]> {
        match &self.authorization {
            Some(Authorization::Basic(answer)) => {
                let credential = answer.name.credential.as_deref().unwrap_or_default();
                Some(password_digest(salt, credential, answer.expose()))
            }
            _ => None,
        }
    }

    /// Whether there is an answer to a Digest challenge.
    pub(super) fn has_digest(&self) -> bool {
        matches!(self.authorization, Some(Authorization::Digest(_)))
    }

    /// Whether a signature of the message is among them, which is for the server that it names.
    pub fn has_message_signature(&self) -> bool {
        self.message.is_some()
    }

    /// The host that AWS's kind of signature is for, if there is one.
    pub fn aws_host(&self) -> Option<&str> {
        self.aws.as_ref().map(|signature| signature.host.as_str())
    }

    /// Whether the request answers a Digest challenge that is too old.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self.authorization, Some(Authorization::Stale))
    }

    /// Whether passwords were sent in the clear.
    pub(super) fn is_overheard(&self) -> bool {
        self.is_overheard
    }

    /// Everything offered, the strongest first.
    pub(super) fn strongest_first(&self) -> Vec<PresentedProof<'_>> {
        let mut offers = Vec::new();
        offers.extend(self.certificate.as_ref().map(PresentedProof::Certificate));
        offers.extend(self.message.as_ref().map(PresentedProof::Message));
        offers.extend(self.aws.as_ref().map(PresentedProof::Aws));
        match &self.authorization {
            Some(Authorization::Digest(answer)) => offers.push(PresentedProof::Digest(answer)),
            Some(Authorization::Basic(answer)) => offers.push(PresentedProof::Basic(answer)),
            Some(Authorization::Stale) | None => {}
        }
        offers
    }
}

pub(super) enum PresentedProof<'r> {
    Certificate(&'r ClientCertificate),
    Message(&'r HttpSignature),
    Aws(&'r AwsSignature),
    Digest(&'r DigestAnswer),
    Basic(&'r BasicAnswer),
    Udrm { signature: &'r Signature, data: &'r [u8] },
    Widevine(&'r WidevineSignature),
}

/// What trying keys on an offer came to.
pub(super) struct Tried<'k> {
    /// The key that made it.
    pub(super) key: Option<&'k SigningKey>,
    /// Whether the account has any key of the offer's schemes.
    pub(super) has_keys: bool,
}

impl PresentedProof<'_> {
    /// The schemes it may be of.
    fn schemes(&self) -> &'static [Scheme] {
        match self {
            Self::Certificate(_) => &[Scheme::MutualTls],
            Self::Message(signature) => match signature.scheme {
                Some(Scheme::HttpHmacSha256) => &[Scheme::HttpHmacSha256],
                Some(_) => &[Scheme::HttpEd25519],
                None => &[Scheme::HttpEd25519, Scheme::HttpHmacSha256],
            },
            Self::Aws(_) => &[Scheme::AwsSigV4],
            Self::Digest(_) => &[Scheme::Digest],
            Self::Basic(_) => &[Scheme::Basic],
            Self::Udrm { .. } => &[Scheme::UdrmSha1],
            Self::Widevine(signature) => match signature.scheme() {
                Some(Scheme::WidevineAes) => &[Scheme::WidevineAes],
                Some(_) => &[Scheme::WidevineRsa],
                None => &[],
            },
        }
    }

    /// What an account's minimum is held against: the strongest scheme it may be of, right or not. Only a
    /// right signature of the Widevine API has one, because its signer may have credentials of either.
    pub(super) fn strongest_scheme(&self, key: Option<&SigningKey>) -> Option<Scheme> {
        match self {
            Self::Widevine(_) => key.map(|key| key.scheme),
            _ => self.schemes().first().copied(),
        }
    }

    /// Whether the account has such a credential that the proof must be of it, or is wrong.
    fn concerns(&self, account: &AccountId, key: &SigningKey) -> bool {
        match self {
            Self::Widevine(_) => key.scheme.is_widevine() && self.means(account, &key.name),
            _ => self.schemes().contains(&key.scheme),
        }
    }

    /// Tries every key of the account's that may have made it, and dummies for those missing.
    pub(super) fn try_keys<'k>(&self, account: &AccountId, keys: &[&'k SigningKey]) -> Tried<'k> {
        let own: Vec<_> = keys.iter().filter(|key| self.concerns(account, key)).collect();
        let mut tried = Tried { key: None, has_keys: !own.is_empty() };
        for scheme in self.schemes() {
            let max = if *scheme == Scheme::WidevineRsa { RSA_KEYS_TRIED_MAX } else { usize::MAX };
            let mut verified = 0;
            for key in own.iter().filter(|key| key.scheme == *scheme) {
                let Some(proved) = self.proves(*scheme, &key.secret, key.widevine.as_ref()) else { continue };
                verified += 1;
                if proved && self.means(account, &key.name) && tried.key.is_none() {
                    tried.key = Some(key);
                }
                if verified == max {
                    break;
                }
            }
            for _ in verified..KEYS_TRIED_MIN {
                self.try_dummy(*scheme);
            }
        }
        tried
    }

    /// Whether it carries no nonce, so that a client that asks twice in a second asks alike.
    pub(super) const fn is_without_nonce(&self) -> bool {
        matches!(self, Self::Aws(_))
    }

    /// What makes the offer good only once, for the credential that made it.
    pub(super) fn nonce(&self, account: &AccountId, credential: &str) -> Option<Nonce> {
        match self {
            Self::Message(message) => Some((&message.nonce, message.created_s)),
            Self::Aws(signature) => Some((&signature.nonce, signature.created_s)),
            Self::Digest(answer) => Some((&answer.nonce_use, answer.created_s)),
            Self::Certificate(_) | Self::Basic(_) | Self::Udrm { .. } | Self::Widevine(_) => None,
        }
        .map(|(text, created_s)| Nonce::new(account, credential, text, created_s))
    }

    /// None when it can be told without work that the secret is not of this proof.
    fn proves(&self, scheme: Scheme, secret: &[u8], widevine: Option<&WidevineKey>) -> Option<bool> {
        let proves = match self {
            Self::Certificate(certificate) => certificate.bears(secret),
            Self::Message(signature) => signature.verify(scheme, secret),
            Self::Aws(signature) => signature.verify(secret),
            Self::Digest(answer) => answer.verify(secret),
            Self::Basic(answer) => answer.verify(secret),
            Self::Udrm { signature, data } => signature.verify(secret, data),
            Self::Widevine(signature) => signature.verify(widevine?)?,
        };
        #[cfg(test)]
        counted::note(scheme);
        Some(proves)
    }

    /// The work of [`Self::proves`] with a key that is not there.
    fn try_dummy(&self, scheme: Scheme) {
        let dummy = match scheme {
            Scheme::HttpEd25519 => HttpSignature::dummy_secret(scheme),
            _ => DUMMY_KEY,
        };
        match self {
            Self::Widevine(signature) => {
                signature.verify_dummy();
                #[cfg(test)]
                counted::note(scheme);
            }
            _ => {
                black_box(self.proves(scheme, dummy, None));
            }
        }
    }

    /// Whether it may be of this credential: it names it, or names none.
    fn means(&self, account: &AccountId, credential: &str) -> bool {
        match self {
            Self::Certificate(_) | Self::Udrm { .. } => true,
            // The account's own name stands for all of its credentials.
            Self::Widevine(signature) => [account.as_str(), credential].contains(&&*signature.signer),
            Self::Message(signature) => signature.name.means(account, credential),
            Self::Aws(signature) => signature.access_key.means(account, credential),
            Self::Digest(answer) => answer.name.means(account, credential),
            Self::Basic(answer) => answer.name.means(account, credential),
        }
    }
}

/// How often each scheme was verified, for tests: what a refusal costs must not tell of the account.
#[cfg(test)]
pub(super) mod counted {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use keymoot_model::Scheme;

    thread_local! {
        static VERIFIED: RefCell<BTreeMap<&'static str, usize>> = RefCell::default();
    }

    pub(super) fn note(scheme: Scheme) {
        VERIFIED.with_borrow_mut(|verified| *verified.entry(scheme.name()).or_default() += 1);
    }

    /// What was verified on this thread while the work was done.
    pub(crate) fn during(work: impl FnOnce()) -> BTreeMap<&'static str, usize> {
        VERIFIED.take();
        work();
        VERIFIED.take()
    }
}
