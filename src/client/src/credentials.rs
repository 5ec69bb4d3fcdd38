//! The ways in which a client can prove itself, and which of them a service point is shown.
//!
//! Credentials weaker than the configured minimum are dropped before anything is asked, so nothing
//! that a server says, or somebody in its name, can bring one into use.

use super::service_point::ServicePoint;
use super::signer::Signer;
use keymoot_model::Scheme;

/// Why there are no usable credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// None was given.
    #[error("no credential is given: this client could not prove who it is")]
    None,
    /// All of them are weaker than the minimum.
    #[error("the minimum scheme is {minimum}, but the credentials given are weaker: {given}", given = named(given))]
    TooWeak {
        /// The minimum.
        minimum: Scheme,
        /// What there is.
        given: Vec<Scheme>,
    },
}

/// A client's credentials, the strongest first, none below its minimum.
pub struct Credentials {
    signers: Vec<Box<dyn Signer>>,
    minimum: Option<Scheme>,
}

/// How a service point is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The strongest scheme that both know.
    pub(super) scheme: Scheme,
    /// Which credential signs.
    signer: usize,
}

impl Credentials {
    /// A single credential, whose scheme needs no negotiation.
    pub fn only(signer: impl Signer + 'static) -> Self {
        Self { signers: vec![Box::new(signer)], minimum: None }
    }

    /// Several credentials, of which those weaker than `minimum` are never used.
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

    /// Whether a service point must be asked what it accepts: which one is used depends on it, or one
    /// that accepts only what is too weak must be found out.
    pub(super) fn need_negotiation(&self) -> bool {
        self.signers.len() > 1 || self.minimum.is_some()
    }

    /// Whether there is a minimum.
    pub(super) fn have_minimum(&self) -> bool {
        self.minimum.is_some()
    }

    /// The credential of a choice.
    pub(super) fn signer(&self, choice: Choice) -> Option<&dyn Signer> {
        self.signers.get(choice.signer).map(Box::as_ref)
    }

    /// The strongest scheme that is among those offered; the strongest there is, when the service point
    /// announces none. The error says in a few words why there is none.
    ///
    /// A certificate is shown by the connection. Whether the account knows it is not announced, so the
    /// strongest signature there is goes beside it; the server judges by the strongest it knows.
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
