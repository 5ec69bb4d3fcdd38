//! Where a receiver's events go: three kinds of sinks, behind one enum.

mod file;
mod https;
mod syslog;

use keymoot_tls::web_client_config;

use crate::form::{Form, Record};
use crate::settings::{ReceiverKind, ReceiverSettings};
use crate::{RECEIVER_WITHIN, ReceiverError};

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The receiver has it.
    Acknowledged,
    /// It was written; whether the receiver has it is known after [`Sink::confirm`].
    Written,
}

/// Why a batch did not arrive, or may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Nothing of it was sent.
    #[error("{0}")]
    NotSent(String),
    /// It may have arrived.
    #[error("{0}")]
    Unknown(String),
    /// The receiver takes no batch of this size.
    #[error("{0}")]
    TooLarge(String),
}

/// A sink.
pub(crate) enum Sink {
    Syslog(syslog::Syslog),
    File(file::AppendedFile),
    Https(https::Posts),
}

impl Sink {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// [`ReceiverError`] when one cannot be used.
    pub(crate) fn new(settings: &ReceiverSettings) -> Result<Self, ReceiverError> {
        let lacks = |key| ReceiverError::Lacks { name: settings.name.clone(), key };
        let tls = || {
            let own = settings.cert_file.as_deref().zip(settings.key_file.as_deref());
            web_client_config(settings.ca_file.as_deref(), own)
                .map_err(|source| ReceiverError::Tls { name: settings.name.clone(), source })
        };
        Ok(match settings.kind {
            ReceiverKind::Syslog => {
                let address = settings.address.clone().ok_or_else(|| lacks("address"))?;
                Self::Syslog(syslog::Syslog::new(address, tls()?, settings.tls, settings.confirm))
            }
            ReceiverKind::File => {
                Self::File(file::AppendedFile::new(settings.path.clone().ok_or_else(|| lacks("path"))?))
            }
            ReceiverKind::Https => {
                let url = settings.url.clone().ok_or_else(|| lacks("url"))?;
                Self::Https(https::Posts::new(url, tls()?, settings.token_file.clone()))
            }
        })
    }

    /// Reaches the receiver, where that is possible without sending anything.
    pub(crate) async fn reach(&mut self) -> Result<(), Fault> {
        match self {
            Self::Syslog(syslog) => syslog.connect().await,
            Self::File(file) => file.open().await,
            Self::Https(posts) => posts.prepare(),
        }
    }

    /// Sees whether the receiver could be reached, and leaves nothing there.
    pub(crate) async fn look(&mut self) -> Result<(), Fault> {
        match self {
            Self::Syslog(syslog) => syslog.connect().await,
            Self::File(file) => file.look(),
            Self::Https(posts) => posts.look().await,
        }
    }

    /// Sends a batch.
    pub(crate) async fn send(&mut self, form: Form, batch: &[Record<'_>]) -> Result<Delivery, Fault> {
        match self {
            Self::Syslog(syslog) => syslog.send(form, batch).await,
            Self::File(file) => file.append(lines(form, batch)).await,
            Self::Https(posts) => posts.post(form, lines(form, batch)).await,
        }
    }

    /// Learns whether all that was written has arrived.
    pub(crate) async fn confirm(&mut self) -> Result<(), Fault> {
        match self {
            Self::Syslog(syslog) => syslog.confirm().await,
            Self::File(_) | Self::Https(_) => Ok(()),
        }
    }
}

/// One line for each record.
fn lines(form: Form, batch: &[Record<'_>]) -> Vec<u8> {
    let mut all = Vec::new();
    for record in batch {
        all.extend_from_slice(form.write(record).as_bytes());
        all.push(b'\n');
    }
    all
}

/// What did not end in time.
fn late(what: &str) -> String {
    format!("{what} within {} s", RECEIVER_WITHIN.as_secs())
}
