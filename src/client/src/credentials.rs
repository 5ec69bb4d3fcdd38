//! A client's credentials, and which of them it uses at a service point.
//!
//! Credentials weaker than the configured minimum are dropped before any request, so that no
//! answer, of a server or of an attacker, can bring one into use.

use super::service_point::ServicePoint;
use super::signer::Signer;
use keymoot_model::Scheme;

/// Why there are no usable credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// No credential was given.
    #[error("no credential is given: this client could not prove who it is")]
    None,
    /// All of them are weaker than the minimum.
    #[error("the minimum scheme is {minimum}, but the credentials given are weaker: {given}", given = named(given))]
    TooWeak {
        /// The minimum that was demanded.
        minimum: Scheme,
        /// The schemes of the credentials that were given.
        given: Vec<Scheme>,
    },
}

/// A client's credentials, the strongest first, none below its minimum.
pub struct Credentials {
    signers: Vec<Box<dyn Signer>>,
    minimum: Option<Scheme>,
}

/// The scheme and the credential that requests to a service point use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The strongest scheme that client and service point share.
    pub(super) scheme: Scheme,
    /// The index of the credential that signs.
    signer: usize,
}

impl Credentials {
    /// A single credential, which needs no negotiation.
    pub fn only(signer: impl Signer + 'static) -> Self {
        Self { signers: vec![Box::new(signer)], minimum: None }
    }

    /// Several credentials; those weaker than `minimum` are never used.
    ///
    /// # Errors
    /// [`CredentialsError`] when none is left.
    pub fn new(mut signers: Vec<Box<dyn Signer>>, minimum: Option<Scheme>) -> Result<Self, CredentialsError> {
        let given: Vec<Scheme> = signers.iter().map(|signer| signer.scheme()).collect();
        signers.retain(|signer| minimum.is_none_or(|minimum| signer.scheme().meets(minimum)));
        signers.sort_by_key(|signer| std::cmp::Reverse(signer.scheme().strength()));
        match (given.is_empty(), signers.is_empty(), minimum) {
            (true, ..) => Err(CredentialsError::None),
            (false, true, Some(minimum)) => Err(CredentialsError::TooWeak { minimum, given }),
            _ => Ok(Self { signers, minimum }),
        }
    }

    /// Whether a service point must be asked which schemes it accepts: because it decides which
    /// credential is used, or because a point that accepts only schemes below the minimum must be
    /// recognised.
    pub(super) fn need_negotiation(&self) -> bool {
        self.signers.len() > 1 || self.minimum.is_some()
    }

    /// Whether there is a minimum.
    pub(super) fn have_minimum(&self) -> bool {
        self.minimum.is_some()
    }

    /// The credential that a choice signs with.
    pub(super) fn signer(&self, choice: Choice) -> Option<&dyn Signer> {
        self.signers.get(choice.signer).map(Box::as_ref)
    }

    /// The strongest scheme that is among those offered, or the strongest of all when the service
    /// point announces none. The error is a short reason.
    ///
    /// A certificate is shown by the connection. Whether the account has registered it is not
    /// announced, so requests also carry the strongest signature available; the server judges by
    /// the strongest proof that it can check.
    pub(super) fn choose(&self, point: &ServicePoint, offered: Option<&[Scheme]>) -> Result<Choice, String> {
        let mutual = |signer: &dyn Signer| {
            let scheme = signer.scheme();
            let can_be_shown = scheme != Scheme::MutualTls || point.is_secure();
            can_be_shown && offered.is_none_or(|offered| offered.contains(&scheme))
        };
        let mut usable = self.signers.iter().enumerate().filter(|(_, signer)| mutual(signer.as_ref()));
        let Some((first, strongest)) = usable.next() else { return Err(self.no_mutual(point, offered)) };
        let scheme = strongest.scheme();
        let signer = match scheme {
            Scheme::MutualTls => usable.next().map_or(first, |(at, _)| at),
            _ => first,
        };
        Ok(Choice { scheme, signer })
    }

    fn no_mutual(&self, point: &ServicePoint, offered: Option<&[Scheme]>) -> String {
        let own: Vec<Scheme> = self.signers.iter().map(|signer| signer.scheme()).collect();
        if own == [Scheme::MutualTls] && !point.is_secure() {
            return "a certificate cannot be shown over http".to_owned();
        }
        let offered = offered.unwrap_or_default();
        let accepts = if offered.is_empty() { "no scheme known here".to_owned() } else { named(offered) };
        match self.minimum {
            Some(minimum) => format!(
                "a downgrade is refused: it accepts {accepts}, but this client has {} and uses nothing weaker \
                 than {minimum}",
                named(&own)
            ),
            None => format!("no scheme in common: it accepts {accepts}, this client has {}", named(&own)),
        }
    }
}

fn named(schemes: &[Scheme]) -> String {
    schemes.iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, SignError};

    struct Bare(Scheme);

    impl Signer for Bare {
        fn scheme(&self) -> Scheme {
            self.0
        }

        fn sign(&self, _: &mut Request, _: &ServicePoint, _: u64) -> Result<(), SignError> {
            Ok(())
        }
    }

    fn credentials(schemes: &[Scheme], minimum: Option<Scheme>) -> Result<Credentials, CredentialsError> {
        Credentials::new(schemes.iter().map(|scheme| Box::new(Bare(*scheme)) as _).collect(), minimum)
    }

    fn at(text: &str) -> ServicePoint {
        text.parse().unwrap()
    }

    use Scheme::{HttpEd25519, HttpHmacSha256, MutualTls, UdrmSha1};

    #[test]
    fn the_strongest_that_both_know_is_chosen() {
        let own = credentials(&[UdrmSha1, HttpHmacSha256], None).unwrap();
        let chosen = |offered: Option<&[Scheme]>| own.choose(&at("http://a"), offered).map(|c| c.scheme);
        assert_eq!(chosen(Some(&[HttpEd25519, HttpHmacSha256, UdrmSha1])), Ok(HttpHmacSha256));
        assert_eq!(chosen(Some(&[HttpEd25519, UdrmSha1])), Ok(UdrmSha1));
        assert_eq!(chosen(None), Ok(HttpHmacSha256), "who announces nothing is asked with the strongest");
        assert!(chosen(Some(&[])).unwrap_err().contains("no scheme in common"));
    }

    #[test]
    fn below_the_minimum_nothing_can_be_chosen_whatever_is_offered() {
        let own = credentials(&[UdrmSha1, HttpHmacSha256], Some(HttpEd25519)).unwrap();
        let refused = own.choose(&at("http://a"), Some(&[UdrmSha1])).unwrap_err();
        assert!(refused.contains("downgrade") && refused.contains("udrm-sha1"), "{refused}");
        assert_eq!(own.choose(&at("http://a"), None).unwrap().scheme, HttpHmacSha256);
        let weak = credentials(&[UdrmSha1], Some(HttpHmacSha256)).err().unwrap();
        assert_eq!(weak, CredentialsError::TooWeak { minimum: HttpHmacSha256, given: vec![UdrmSha1] });
        assert_eq!(credentials(&[], None).err(), Some(CredentialsError::None));
    }

    #[test]
    fn a_certificate_counts_over_tls_only_and_the_best_signature_goes_beside_it() {
        let own = credentials(&[UdrmSha1, MutualTls, HttpHmacSha256], None).unwrap();
        let all = [MutualTls, HttpHmacSha256, UdrmSha1];
        let choice = own.choose(&at("https://a"), Some(&all)).unwrap();
        assert_eq!(choice.scheme, MutualTls);
        assert_eq!(own.signer(choice).unwrap().scheme(), HttpHmacSha256);
        assert_eq!(own.choose(&at("http://a"), Some(&all)).unwrap().scheme, HttpHmacSha256);
        let alone = credentials(&[MutualTls], None).unwrap();
        assert!(alone.choose(&at("http://a"), Some(&all)).unwrap_err().contains("over http"));
    }
}
