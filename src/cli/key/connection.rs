//! The arguments that say which key server is asked, by whom, and how patiently.

use std::path::PathBuf;

use clap::Args;

use crate::cli::time_span::TimeSpan;
use crate::cli::{Failure, FailureKind};
use crate::client::{
    ClientError, ClientSettings, ContentKeys, HttpTransport, KeyClient, ServicePoint, ServicePoints,
    SystemPace, Timeouts, TlsFiles, UdrmSha1,
};
use crate::config::Log;
use crate::crypto::secret_file;
use crate::drm::EncryptionProvider;
use crate::model::AccountId;
use crate::telemetry::start_logging;

/// Which key server is asked, by whom, and how patiently.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Key server")]
pub struct ConnectionArgs {
    /// A service point of the key server. Repeat it, or list several with commas: the first is
    /// preferred, the others are asked when it fails.
    #[arg(
        long = "server",
        value_name = "URL",
        env = "KEYMOOT_SERVERS",
        value_delimiter = ',',
        required = true
    )]
    pub servers: Vec<ServicePoint>,
    /// The account that owns the keys.
    #[arg(long, value_name = "ID", env = "KEYMOOT_ACCOUNT")]
    pub account: AccountId,
    /// The ca_system of the account's requests.
    #[arg(long, value_name = "NAME", env = "KEYMOOT_CA_SYSTEM", default_value = "OVP")]
    pub ca_system: String,
    /// Holds the account's encryption signing key; a secret file, mode 0600.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_SIGNING_KEY_FILE")]
    pub key_file: PathBuf,
    /// The DRM systems whose data comes with a key: cenc (all), cenc/widevine, cenc/playready,
    /// cenc/primetime, playready, widevine, fps; or hls, which has none and keys of its own.
    #[arg(long, value_name = "PROVIDER", default_value = "cenc")]
    pub provider: EncryptionProvider,
    /// How long a service point may take to be connected to.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub connect_timeout: TimeSpan,
    /// How long a service point may take to answer. Nodes hold requests through an election for up
    /// to 10s, so that much less gives up on a cluster that is about to answer.
    #[arg(long, value_name = "TIME", default_value = "12s")]
    pub answer_timeout: TimeSpan,
    /// How long to go on while no service point answers, each of which is asked again and again.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub outage_tolerance: TimeSpan,
    /// Certificates of the authorities that vouch for the key server, in PEM; without it those of
    /// the public web.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_TLS_CA_FILE")]
    pub tls_ca_file: Option<PathBuf>,
    /// This scrambler's own certificate in PEM, when the key server demands one.
    #[arg(long, value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// The private key of that certificate in PEM; a secret file, mode 0600.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
}

impl ConnectionArgs {
    /// A client of that key server. What goes wrong at a service point is logged on standard error.
    pub(in crate::cli) fn client(&self) -> Result<KeyClient, Failure> {
        let log = Log { level: "keymoot::client=warn".to_owned(), ..Log::default() };
        start_logging(&log).map_err(Failure::runtime)?;
        let points = ServicePoints::new(self.servers.clone()).map_err(Failure::usage)?;
        for point in points.as_slice().iter().filter(|point| !point.is_secure() && !point.is_loopback()) {
            eprintln!("keymoot: warning: keys from {point} travel unencrypted; use https where it is served");
        }
        let signer = UdrmSha1::new(secret_file::read_signing_key(&self.key_file).map_err(Failure::usage)?);
        let timeouts = Timeouts { connect: self.connect_timeout.0, answer: self.answer_timeout.0 };
        let tls = TlsFiles {
            ca: self.tls_ca_file.clone(),
            client: self.tls_cert_file.clone().zip(self.tls_key_file.clone()),
        };
        let transport = HttpTransport::new(timeouts, &tls).map_err(Failure::usage)?;
        let keys = ContentKeys {
            account: self.account.clone(),
            ca_system: self.ca_system.clone(),
            provider: self.provider,
        };
        let settings = ClientSettings { patience: self.outage_tolerance.0, ..ClientSettings::default() };
        let pace = Box::new(SystemPace::default());
        Ok(KeyClient::new(points, keys, Box::new(signer), Box::new(transport), pace, settings))
    }
}

/// A client's error as a command ends with it, with what helps.
pub(in crate::cli) fn failure(error: ClientError) -> Failure {
    match &error {
        ClientError::NoServicePoint { .. } => Failure::of_kind(FailureKind::NoServicePoint, error).hint(
            "do the nodes run, and can this machine reach them? name further ones with --server, or wait \
             longer with --outage-tolerance",
        ),
        ClientError::Refused { status, reference, .. } => {
            let hint = refusal_hint(*status, *reference);
            Failure::runtime(error).hint(hint)
        }
        ClientError::OutcomeUnknown { .. } => Failure::runtime(error).hint(
            "compare the key id with keymoot key get; without --server-key a rotation can be repeated safely",
        ),
        _ => Failure::runtime(error),
    }
}

fn refusal_hint(status: u16, reference: Option<u64>) -> String {
    let found = reference.map_or_else(String::new, |n| format!("; the node's log has the reason under {n}"));
    match status {
        401 => format!(
            "check --account, --ca-system and --key-file, and that the account's allow-list holds this \
             machine's address{found}"
        ),
        404 => "keymoot key create makes a key; a content's name is exact, capitals included".to_owned(),
        _ => format!("the request itself is at fault{found}"),
    }
}
