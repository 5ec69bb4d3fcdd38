//! The certificate of the listeners where the node keeps it itself, and a warning where there is none.

use std::sync::Arc;

use keymoot_cluster::Cluster;
use keymoot_crypto::Keyring;
use keymoot_http::settings::{HttpSettings, TlsSource, open_metrics, plain_http};
use keymoot_service::ApiCertificateFiles;

use crate::config::{ANY_AUTHORITY, Config, LIST_AUTHORITIES};

/// The listeners' settings, with the certificate that the node keeps itself where it does.
pub(super) async fn with_own_certificate(
    config: &Config,
    cluster: &Cluster,
    keyring: &Arc<Keyring>,
) -> HttpSettings {
    let mut listeners = config.http_settings();
    for plain in plain_http(&listeners) {
        tracing::warn!("{}; {}", plain.problem(), plain.remedy());
    }
    if let Some(open) = open_metrics(&listeners) {
        tracing::warn!("{}; {}", open.problem(), open.remedy());
    }
    if config.takes_any_authority() {
        tracing::warn!("{ANY_AUTHORITY}; {LIST_AUTHORITIES}");
    }
    let (http, packager) = (&mut listeners.http, &mut listeners.packager);
    let sections = [
        (http.tls, &mut http.tls_cert_file, &mut http.tls_key_file),
        (packager.tls, &mut packager.tls_cert_file, &mut packager.tls_key_file),
    ];
    let own: Vec<_> = sections.into_iter().filter(|(tls, ..)| *tls == TlsSource::Cluster).collect();
    if own.is_empty() {
        return listeners;
    }
    let names = http.tls_names.iter().map(ToString::to_string).collect();
    let files = ApiCertificateFiles::new(config.cluster.name.clone(), &config.node.data_dir, names);
    files.obtain(cluster, keyring).await;
    for (_, cert, key) in own {
        (*cert, *key) = (Some(files.certificate()), Some(files.key()));
    }
    actix::spawn(files.keep(cluster.clone(), keyring.clone()));
    listeners
}
