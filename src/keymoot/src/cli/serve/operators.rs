//! The operators of a node: their listener, and the first one of a cluster that begins here.

use std::sync::Arc;

use crate::cli::Failure;
use crate::config::Config;
use keymoot_cluster::Cluster;
use keymoot_cluster::settings::FoundingOperator;
use keymoot_crypto::Keyring;
use keymoot_http::{AdminListener, Api, ServerHandle, listen_for_operators};
use keymoot_service::admin::Administration;
use keymoot_tls::{OperatorCredential, PeerCredentials};

/// Serves operators from now on, if they have a listener.
pub(super) fn listen(
    config: &Config,
    api: &Api,
    cluster: &Cluster,
    keyring: &Arc<Keyring>,
) -> Result<Option<ServerHandle>, Failure> {
    let Some(listen) = config.admin.listen else { return Ok(None) };
    let admin = AdminListener {
        listen,
        cert_file: config.cluster.cert_file.clone(),
        key_file: config.cluster.key_file.clone(),
        ca_file: config.cluster.ca_file.clone(),
    };
    let administration = Administration::new(cluster.clone(), keyring.clone(), api.contact.clone());
    let (server, addresses) =
        listen_for_operators(&config.http_settings(), admin, api.clone(), administration)
            .map_err(Failure::runtime)?;
    let handle = server.handle();
    actix::spawn(server);
    tracing::info!(admin = ?addresses, "serving operators");
    Ok(Some(handle))
}

/// The operator that a cluster which begins here begins with: whose commands are typed on this node.
pub(super) fn founding(config: &Config) -> Result<Option<FoundingOperator>, Failure> {
    let founds = config.cluster.founding_ca_key_file.as_ref().is_some_and(|file| file.exists());
    let Some(file) = config.admin.credential_file.as_ref().filter(|file| founds && file.exists()) else {
        return Ok(None);
    };
    let own = OperatorCredential::load(file).map_err(Failure::usage)?;
    let cluster = &config.cluster;
    let credentials =
        PeerCredentials::load(&cluster.ca_file, &cluster.cert_file, &cluster.key_file, &cluster.name);
    let authority = credentials.ok().and_then(|credentials| credentials.authority_fingerprint());
    // One of another authority, as after a restore under a new one, would be an operator whom no listener lets in.
    if authority != Some(own.authority_fingerprint()) {
        tracing::warn!(
            file = %file.display(),
            "the operator's credential is of another CA than the cluster, so the cluster begins without an operator: \
             keymoot operator add NAME --role security --by-keyring makes one"
        );
        return Ok(None);
    }
    let (fingerprint, expires_at_s) = (own.fingerprint, own.expires_at_s);
    Ok(Some(FoundingOperator { name: own.name, fingerprint, expires_at_s }))
}
