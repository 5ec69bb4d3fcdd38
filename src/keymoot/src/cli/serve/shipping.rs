//! The audit log on its way to the receivers.

use std::sync::Arc;
use std::time::Duration;

use keymoot_cluster::{Cluster, ReceiverState};
use keymoot_shipping::{ReceiverProgress, Receivers, Shipping};
use keymoot_telemetry::Metrics;
use keymoot_tls::PeerIdentity;
use tokio::runtime::Handle;

use crate::cli::Failure;
use crate::config::Config;

/// How long a node that stops waits for its receivers. What they lack is sent after the next start.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// The receivers of the configuration. What is wrong with one is found before anything is opened.
pub(super) fn prepare(config: &Config) -> Result<Receivers, Failure> {
    Receivers::prepare(&config.audit.receiver).map_err(Failure::usage)
}

/// Starts to send; the cursors are beside the log.
pub(super) fn start(
    receivers: Receivers,
    config: &Config,
    cluster: &Cluster,
    metrics: &Arc<Metrics>,
    runtime: &Handle,
) -> Result<Option<Shipping>, Failure> {
    let log = &cluster.events().log;
    let Some(directory) = log.dir().map(|dir| dir.join("receivers")) else { return Ok(None) };
    let host = PeerIdentity::Node(config.node.id).dns_name(&config.cluster.name);
    let shipping = receivers.start(log, &host, &directory, metrics, runtime).map_err(Failure::runtime)?;
    cluster.complain_of(shipping.complaints());
    let progress = shipping.progress();
    cluster.has_receivers(move || progress().into_iter().map(state).collect());
    Ok(Some(shipping))
}

fn state(seen: ReceiverProgress) -> ReceiverState {
    ReceiverState {
        name: seen.name.to_string(),
        place: seen.place,
        acknowledged: seen.acknowledged,
        acknowledged_at_ms: seen.acknowledged_at_ms,
        lag_events: seen.lag_events,
        lag_s: seen.lag_s,
        error: seen.error,
        troubled_s: seen.troubled_for.map(|troubled| troubled.as_secs()),
    }
}

/// Sends what is left.
pub(super) async fn stop(shipping: Option<Shipping>) {
    if let Some(shipping) = shipping {
        shipping.stop(STOP_WITHIN).await;
    }
}
