//! `keymoot serve`: one node, until it is told to stop or cannot go on.
//!
//! The Raft runtime is built first and owns consensus, peers and snapshots; the actix system with
//! the actors and the HTTP workers runs beside it, so that neither can starve the other of threads.

mod assembly;
mod end;
mod operators;
mod own_certificate;
mod shipping;
mod witness;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::args::ServeArgs;
use super::{Failure, descriptors, memory};
use crate::config::{Config, Loaded};
use crate::{logging, panics};
pub use assembly::{Licensing, assemble_api};
use end::{End, Signals};
use keymoot_audit::{Action, Outcome};
use keymoot_cluster::settings::ClusterSettings;
use keymoot_cluster::{Cluster, StartError};
use keymoot_crypto::Keyring;
use keymoot_http as http;
use keymoot_http::{Drain, MetricsToken};
use keymoot_service::{FirstAccounts, Readiness, begin_accounts, open_server_keys};
use keymoot_telemetry::Metrics;
use own_certificate::with_own_certificate;

/// How often it is measured whether the node is ready.
const MEASURE_READINESS_EVERY: Duration = Duration::from_secs(5);

/// Runs the node that the configuration describes.
///
/// # Errors
/// When the configuration, the keyring or the data directory cannot be used (nothing serves
/// then), or when the node had to stop.
pub fn run(args: ServeArgs) -> Result<(), Failure> {
    let config = Loaded::load(args.config.config.as_deref()).map_err(Failure::usage)?.config;
    logging::start_logging(&config.log).map_err(Failure::usage)?;
    panics::abort_on_panic();
    // Before any secret is read.
    memory::refuse_dumps();
    // Before anything is opened that asks how much it may open.
    let open_files = descriptors::raise();
    let keyring = Arc::new(match config.node.witness {
        true => witness::no_keyring(&config)?,
        false => Keyring::load(&config.keys.keyring_file).map_err(Failure::usage)?,
    });
    memory::report_lock(&keyring);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("raft")
        .build()
        .map_err(Failure::runtime)?;
    let outcome = actix::System::new().block_on(async {
        match config.node.witness {
            true => witness::serve(&config, open_files, keyring, &runtime).await,
            false => serve(&config, open_files, keyring, &runtime).await,
        }
    });
    // Connections of peers may still be open; they do not hold the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    config: &Config,
    open_files: u64,
    keyring: Arc<Keyring>,
    runtime: &Runtime,
) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let metrics = Arc::new(Metrics::new().map_err(Failure::runtime)?);
    let licensing = Licensing::prepare(config, &metrics)?;
    let settings =
        ClusterSettings { founding_operator: operators::founding(config)?, ..config.cluster_settings() };
    let receivers = shipping::prepare(config)?;
    let (cluster, mut end) = start_cluster(&settings, &keyring, &metrics, runtime, signals).await?;
    let shipping = shipping::start(receivers, config, &cluster, &metrics, runtime.handle())?;
    let api = assemble_api(config, licensing, &cluster, &keyring, metrics.clone())?;
    actix::spawn(measure_readiness(api.readiness.clone(), metrics));
    actix::spawn(api.contact.clone().keep());
    actix::spawn(api.keys.clone().note_late_documents(api.audit.clone()));
    let drain = api.drain.clone();
    {
        let (cluster, keyring, slot) = (cluster.clone(), keyring.clone(), api.server_keys.clone());
        actix::spawn(async move { open_server_keys(&cluster, &keyring, cluster.events(), &slot).await });
    }
    // Not behind the API's certificate, which may wait for a quorum.
    let admin = operators::listen(config, &api, &cluster, &keyring)?;
    let connections = descriptors::connections(open_files, config);
    let listeners = tokio::select! {
        listeners = with_own_certificate(config, &cluster, &keyring) => listeners,
        failed = end.comes() => {
            cluster.shutdown().await;
            return failed.map_or(Ok(()), |reason| Err(Failure::because(reason)));
        }
    };
    let (server, addresses) =
        http::listen(&listeners, connections.api, api.clone()).map_err(Failure::runtime)?;
    let handle = server.handle();
    actix::spawn(server);
    let packagers = match http::listen_for_packagers(&listeners, connections.packagers, api)
        .map_err(Failure::runtime)?
    {
        Some((server, addresses)) => {
            let handle = server.handle();
            actix::spawn(server);
            match config.packager.tls_client_ca_file {
                Some(_) => tracing::info!(packager = ?addresses, "serving packagers by their certificates"),
                None => tracing::info!(packager = ?addresses, "serving unsigned requests of packagers"),
            }
            Some(handle)
        }
        None => None,
    };
    tracing::info!(
        open_files,
        connections = connections.api,
        packager_connections = connections.packagers,
        "what clients may take of the open files"
    );
    tracing::info!(node = config.node.id, api = ?addresses, peers = %config.cluster.peer_listen, "serving");
    if let Some(file) = config.accounts.file.clone() {
        actix::spawn(look_at_accounts(cluster.clone(), keyring.clone(), file));
    }
    if let Some(reason) = end.comes().await {
        // What runs on a node in this state would only be answered late, or wrongly.
        cluster.shutdown().await;
        return Err(Failure::because(reason));
    }
    let close = || {
        // Connections without a request would keep it waiting; whoever waits for an answer gets it.
        actix::spawn(handle.stop(true));
        for other in packagers.into_iter().chain(admin) {
            actix::spawn(other.stop(true));
        }
    };
    retire(&cluster, &drain, close, Duration::from_millis(config.http.drain_timeout_ms)).await;
    shipping::stop(shipping).await;
    cluster.shutdown().await;
    Ok(())
}

/// Starts the node, and watches for what ends it.
async fn start_cluster(
    settings: &ClusterSettings,
    keyring: &Arc<Keyring>,
    metrics: &Arc<Metrics>,
    runtime: &Runtime,
    signals: Signals,
) -> Result<(Cluster, End), Failure> {
    let started = Cluster::start(settings, keyring.clone(), metrics.clone(), runtime.handle()).await;
    let cluster = started.map_err(start_failure)?;
    let end = End::of(signals, &cluster);
    Ok((cluster, end))
}

/// Leaves the cluster's service without anybody noticing: leadership goes first, no connection is
/// accepted any more, and what is under way is answered.
async fn retire(cluster: &Cluster, drain: &Drain, close: impl FnOnce(), patience: Duration) {
    tracing::info!("stopping: leadership is transferred, and requests under way are answered");
    let deadline = Instant::now() + patience;
    cluster.events().note(cluster.events().own(Action::NODE_STOP, Outcome::Done, "told to stop"));
    drain.begin();
    cluster.transfer_leader().await;
    close();
    let cut_off = drain.finished(deadline).await;
    if cut_off > 0 {
        tracing::warn!(
            requests = cut_off,
            "requests are cut off: they took longer than http.drain_timeout_ms"
        );
    }
}

/// Applies the accounts file to a cluster that never had an account; else says whether it differs.
async fn look_at_accounts(cluster: Cluster, keyring: Arc<Keyring>, file: PathBuf) {
    let file_name = file.display();
    match begin_accounts(&cluster, &keyring, cluster.events(), &file).await {
        Ok(FirstAccounts::Applied) => tracing::info!(%file_name, "the accounts of the file are added"),
        Ok(FirstAccounts::Equal) => tracing::info!(%file_name, "the cluster has the accounts of the file"),
        Ok(FirstAccounts::Differs(differences)) => tracing::warn!(
            differences,
            "the accounts file differs from the cluster and is not applied: if it is the newer one, run keymoot account \
             apply {file_name}"
        ),
        Err(error) => tracing::error!(error = %Failure::usage(error), "the accounts file cannot be used"),
    }
}

/// What opens the metrics, if something does.
fn metrics_token(config: &Config) -> Result<Option<MetricsToken>, Failure> {
    let token = config.http.metrics_token_file.as_deref().map(MetricsToken::load);
    token.transpose().map_err(Failure::usage)
}

/// Publishes whether the node is ready, for those who alert on it and do not ask `/readyz`.
async fn measure_readiness(readiness: Readiness, metrics: Arc<Metrics>) {
    loop {
        metrics.ready.set(readiness.check().await.is_ok().into());
        tokio::time::sleep(MEASURE_READINESS_EVERY).await;
    }
}

/// What the operator can do about a node that does not start.
fn start_failure(error: StartError) -> Failure {
    let hint = match &error {
        StartError::Keyring(_) => {
            "put the keyring that the other nodes use at keys.keyring_file, or add the missing master key to it"
        }
        StartError::Listen { .. } => "is another node running? see cluster.peer_listen",
        StartError::Identity { .. } => "see cluster.cert_file and node.id",
        _ => return Failure::runtime(error),
    };
    Failure::runtime(error).hint(hint)
}
