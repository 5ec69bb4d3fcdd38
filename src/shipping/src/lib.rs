//! Sends the audit log of a node to receivers elsewhere: syslog servers, files, HTTPS servers.
//!
//! The log on disk is the spool: each receiver has a cursor in it, so nothing is lost while a receiver
//! is away, and memory is bounded. Events go out in order. What may have arrived before, because a connection broke or
//! the node ended before the receiver acknowledged it, is marked as resent: nothing comes twice without that mark. A
//! position that cannot be stored stops the receiver's events, because after a crash nobody would know what to mark.
//!
//! Each receiver has a task of its own on the node's runtime; none of them holds up requests.

mod cursor;
mod form;
mod progress;
mod settings;
mod shipper;
mod sink;
mod source;
mod syslog;

#[cfg(test)]
mod stage;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keymoot_telemetry::{Metrics, with_causes};
use keymoot_tls::TlsError;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use form::Form;
pub use progress::ReceiverProgress;
pub use settings::{Confirm, ReceiverKind, ReceiverName, ReceiverSettings, SyslogAddress, problems};
pub use source::EventSource;

use progress::Progress;
use shipper::Shipper;
use sink::Sink;

/// How long a receiver may take for each step: to be connected to, to take a batch, to answer.
const RECEIVER_WITHIN: Duration = Duration::from_secs(10);
/// How long a receiver may be in trouble before it is complained of.
const COMPLAIN_AFTER: Duration = Duration::from_secs(60);

/// TLS towards a receiver.
type TlsConfig = rustls::ClientConfig;

/// Why a receiver cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// A key of it that it needs is not set.
    #[error("receiver \"{name}\" of audit.receiver lacks {key}")]
    Lacks { name: ReceiverName, key: &'static str },
    /// A certificate or key that it names cannot be used.
    #[error("TLS to receiver \"{name}\" of audit.receiver cannot be set up")]
    Tls { name: ReceiverName, source: TlsError },
    /// There is no directory for cursors.
    #[error("cannot make {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
}

/// The receivers of a node, with the files that they name read.
pub struct Receivers(Vec<(ReceiverSettings, Sink)>);

impl Receivers {
    /// Reads the files that the settings name. Nothing is reached yet.
    ///
    /// # Errors
    /// [`ReceiverError`] when one cannot be used.
    pub fn prepare(settings: &[ReceiverSettings]) -> Result<Self, ReceiverError> {
        let each = settings.iter().map(|settings| Ok((settings.clone(), Sink::new(settings)?)));
        each.collect::<Result<_, _>>().map(Self)
    }

    /// Starts to send the events of `source` to each; their cursors are in `directory`. `host` names this node.
    ///
    /// # Errors
    /// [`ReceiverError::Directory`] when there is no directory for the cursors.
    pub fn start(
        self,
        source: &impl EventSource,
        host: &str,
        directory: &Path,
        metrics: &Arc<Metrics>,
        runtime: &Handle,
    ) -> Result<Shipping, ReceiverError> {
        if !self.0.is_empty() {
            let failed = |source| ReceiverError::Directory { path: directory.to_owned(), source };
            make_private(directory).map_err(failed)?;
        }
        let (stop, stopped) = watch::channel(false);
        let started = self.0.into_iter().map(|(settings, sink)| {
            let name = settings.name.as_str();
            // Until its cursor is read, nothing that it may lack is to be deleted.
            source.acknowledge(name, 0);
            let progress = Arc::new(Progress::new(&settings, metrics));
            let (cursor, host) = (directory.join(name), host.to_owned());
            let shipper = Shipper::new(&settings, sink, source.clone(), host, cursor, progress.clone());
            (progress, runtime.spawn(shipper.run(stopped.clone())))
        });
        Ok(Shipping { receivers: started.collect(), stop })
    }
}

/// What is being sent. When it is dropped, that goes on until the runtime ends.
pub struct Shipping {
    receivers: Vec<(Arc<Progress>, JoinHandle<()>)>,
    stop: watch::Sender<bool>,
}

impl Shipping {
    /// The number below which every receiver has all events; none where there is no receiver.
    pub fn acknowledged_by_all(&self) -> Option<u64> {
        self.receivers.iter().map(|(progress, _)| progress.acknowledged()).min()
    }

    /// What tells how far each receiver is.
    pub fn progress(&self) -> impl Fn() -> Vec<ReceiverProgress> + Send + Sync + use<> {
        let all = self.all();
        move || all.iter().map(|progress| progress.seen()).collect()
    }

    fn all(&self) -> Vec<Arc<Progress>> {
        self.receivers.iter().map(|(progress, _)| progress.clone()).collect()
    }

    /// What tells the receivers that have been in trouble for a minute, each as `problem; remedy`.
    pub fn complaints(&self) -> impl Fn() -> Vec<String> + Send + Sync + use<> {
        let all = self.all();
        move || {
            let seen = all.iter().map(|progress| progress.seen());
            let troubled = seen.filter(|seen| seen.troubled_for >= Some(COMPLAIN_AFTER));
            troubled.map(|seen| seen.complaint()).collect()
        }
    }

    /// Sends what there is, and waits until the receivers have acknowledged it, for so long at most. What they have
    /// not is sent after the next start.
    pub async fn stop(self, within: Duration) {
        // Nobody listens where there is no receiver.
        let _ = self.stop.send(true);
        let tasks = self.receivers.into_iter().map(|(_, task)| task);
        let _ = tokio::time::timeout(within, futures::future::join_all(tasks)).await;
    }
}

fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Whether a receiver can be reached now: connected to, with TLS where it has that; or the file's directory seen.
/// Nothing is sent, and no file made.
///
/// # Errors
/// Why not, in words.
pub async fn reach(settings: &ReceiverSettings) -> Result<(), String> {
    let mut sink = Sink::new(settings).map_err(|error| with_causes(&error))?;
    sink.look().await.map_err(|fault| fault.to_string())
}
