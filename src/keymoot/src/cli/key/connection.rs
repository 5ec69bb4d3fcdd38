//! The arguments that say which key server is asked, by whom, and how patiently.

use clap::Args;

use crate::cli::time_span::TimeSpan;
use crate::config::Log;
use crate::logging::start_logging;
use keymoot_client::{
    ClientError, ClientSettings, ContentKeys, HttpTransport, KeyClient, PointState, ServicePoint,
    ServicePoints, SystemClock, Timeouts,
};
use keymoot_command::{Failure, FailureKind};
use keymoot_drm::{EncryptionProvider, ProtectionScheme};
use keymoot_model::AccountId;

use super::credentials::CredentialArgs;

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
    #[arg(long, value_name = "PROVIDER", default_value = "cenc", help = provider_help())]
    pub provider: EncryptionProvider,
    /// How the media is encrypted: cenc, cbcs, cbc1 or cens. It changes what the DRM systems are told, never the key.
    /// Without it, cenc; for fps, cbcs.
    #[arg(long, value_name = "SCHEME")]
    pub scheme: Option<ProtectionScheme>,
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
    /// Say on standard error how the request went: which service points failed and which answered, and
    /// by which scheme it was proved.
    #[arg(long)]
    pub verbose: bool,
    /// How the scrambler proves itself, and what the key server must prove.
    #[command(flatten)]
    pub authentication: CredentialArgs,
}

impl ConnectionArgs {
    /// How the media is encrypted.
    pub(in crate::cli) fn scheme(&self) -> Result<ProtectionScheme, Failure> {
        self.provider.scheme(self.scheme).map_err(Failure::usage)
    }

    /// A client of that key server. What goes wrong at a service point is logged on standard error.
    pub(in crate::cli) fn client(&self) -> Result<KeyClient, Failure> {
        self.scheme()?;
        let level = if self.verbose { "keymoot_client=debug" } else { "keymoot_client=warn" };
        let log = Log { level: level.to_owned(), ..Log::default() };
        start_logging(&log).map_err(Failure::runtime)?;
        let points = ServicePoints::new(self.servers.clone()).map_err(Failure::usage)?;
        for point in points.as_slice().iter().filter(|point| !point.is_secure() && !point.is_loopback()) {
            eprintln!("keymoot: warning: keys from {point} travel unencrypted; use https where it is served");
        }
        let credentials = self.authentication.credentials(&self.account)?;
        let timeouts = Timeouts { connect: self.connect_timeout.0, answer: self.answer_timeout.0 };
        let tls = self.authentication.tls_files();
        let transport = HttpTransport::new(timeouts, &tls).map_err(Failure::usage)?;
        let keys = ContentKeys {
            account: self.account.clone(),
            ca_system: self.ca_system.clone(),
            provider: self.provider,
            scheme: self.scheme,
        };
        let settings = ClientSettings {
            patience: self.outage_tolerance.0,
            server_proof: self.authentication.server_proof(),
            ..ClientSettings::default()
        };
        let pace = Box::new(SystemClock::default());
        Ok(KeyClient::new(points, keys, credentials, Box::new(transport), pace, settings))
    }
}

impl ConnectionArgs {
    /// Says how a request went, to those who want to know.
    pub(in crate::cli) fn tell(&self, client: &KeyClient) {
        if !self.verbose {
            return;
        }
        for status in client.status() {
            let state = match status.state {
                PointState::Healthy if status.current => "in use",
                PointState::Healthy => "healthy",
                PointState::Failed => "failed",
                PointState::Settling => "recovering",
            };
            let scheme = status.scheme.map(|scheme| format!(", proof {scheme}")).unwrap_or_default();
            let signed = if status.server_key.is_some() { ", answers signed" } else { "" };
            eprintln!("keymoot: {}: {state}{scheme}{signed}", status.point);
        }
        let counted = client.metrics();
        eprintln!(
            "keymoot: {} attempts, {} failed ({} of them not to be trusted), {} fail-overs",
            counted.attempts, counted.setbacks, counted.untrusted, counted.fail_overs
        );
    }
}

fn provider_help() -> String {
    format!(
        "The DRM systems whose data comes with a key: {}. cenc stands for all; hls has none, and keys of its own",
        EncryptionProvider::listed()
    )
}

/// A client's error as a command ends with it, with what helps.
pub(in crate::cli) fn failure(error: ClientError) -> Failure {
    match &error {
        ClientError::NoServicePoint { .. } => Failure::of_kind(FailureKind::NoServicePoint, error).hint(
            "do the nodes run, and can this machine reach them? name further ones with --server, or wait \
             longer with --outage-tolerance",
        ),
        ClientError::Untrusted { .. } => Failure::runtime(error).hint(
            "somebody may be answering in the key server's place; compare --server-public-key with \
             signed_answers.public_key of GET /capabilities over a safe way, and --minimum-scheme with the \
             schemes it announces",
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
            "check --account, --ca-system and the credential (--key-file, --message-key-file), and that the account's allow-list holds this \
             machine's address{found}"
        ),
        404 => "keymoot key create makes a key; a content's name is exact, capitals included".to_owned(),
        _ => format!("the request itself is at fault{found}"),
    }
}
