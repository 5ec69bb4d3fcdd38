//! A witness: a node without keyring, which votes and holds the log. It serves monitors and nobody else.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::end::Signals;
use super::{measure_readiness, metrics_token, retire, shipping, start_cluster};
use crate::cli::{Failure, descriptors};
use crate::config::Config;
use keymoot_crypto::Keyring;
use keymoot_http as http;
use keymoot_http::{Drain, Monitored};
use keymoot_service::Readiness;
use keymoot_telemetry::Metrics;

/// The keyring of a witness, which is none. One that lies where a node would look for it is refused: it would open
/// every key at a site that must hold none.
pub(super) fn no_keyring(config: &Config) -> Result<Keyring, Failure> {
    let file = &config.keys.keyring_file;
    if file.exists() {
        let problem =
            format!("this node is a witness, which must hold no master key, and {} is here", file.display());
        return Err(Failure::misuse(problem).hint(
            "remove the file; or, if this machine is to be a node with the keyring, remove the witness with keymoot \
             cluster remove and join the machine anew, with a token of keymoot cluster token create",
        ));
    }
    Ok(Keyring::none())
}

pub(super) async fn serve(
    config: &Config,
    open_files: u64,
    keyring: Arc<Keyring>,
    runtime: &Runtime,
) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let metrics = Arc::new(Metrics::new().map_err(Failure::runtime)?);
    let receivers = shipping::prepare(config)?;
    let (cluster, mut end) =
        start_cluster(&config.cluster_settings(), &keyring, &metrics, runtime, signals).await?;
    let shipping = shipping::start(receivers, config, &cluster, &metrics, runtime.handle())?;
    let drain = Drain::new(metrics.http_requests_in_flight.clone());
    let readiness = Readiness::new(cluster.clone(), keyring);
    actix::spawn(measure_readiness(readiness.clone(), metrics.clone()));
    let (metrics_access, metrics_token) = (config.http.metrics, metrics_token(config)?);
    let monitored = Monitored { readiness, drain: drain.clone(), metrics, metrics_access, metrics_token };
    let connections = descriptors::connections(open_files, config).api;
    let (server, addresses) = http::listen_for_monitors(&config.http_settings(), connections, monitored)
        .map_err(Failure::runtime)?;
    let handle = server.handle();
    actix::spawn(server);
    let peers = config.cluster.peer_listen;
    tracing::info!(node = config.node.id, monitors = ?addresses, %peers, "serving as a witness, without a keyring");
    if let Some(reason) = end.comes().await {
        cluster.shutdown().await;
        return Err(Failure::because(reason));
    }
    let close = || drop(actix::spawn(handle.stop(true)));
    retire(&cluster, &drain, close, Duration::from_millis(config.http.drain_timeout_ms)).await;
    shipping::stop(shipping).await;
    cluster.shutdown().await;
    Ok(())
}
