//! The certificates: whose they are, of which authority, and for how long.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::finding::Finding;
use crate::config::Config;
use keymoot_command::Failure;
use keymoot_http::settings::TlsSource;
use keymoot_service::ApiCertificateFiles;
use keymoot_tls::PeerCredentials;
use keymoot_tls::PeerIdentity;

/// With less time left than this a certificate should be renewed, in days.
const RENEW_DAYS: i64 = 30;
/// A node renews its own certificate in the last third of its life, so it is overdue in the last quarter.
const OVERDUE: u64 = 4;
/// The node renews its API's certificate itself; with less time left than this that has failed for long, in days.
const OWN_DAYS: i64 = 20;
const DAY_S: i64 = 24 * 60 * 60;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![names(config)];
    let overdue = i64::try_from(config.cluster.certificate_life_days / OVERDUE).unwrap_or(RENEW_DAYS);
    let credential = config.admin.credential_file.as_ref();
    let files = [
        ("cluster.ca_file", Some(&config.cluster.ca_file), RENEW_DAYS),
        ("cluster.cert_file", Some(&config.cluster.cert_file), overdue.min(RENEW_DAYS)),
        ("admin.credential_file", credential.filter(|file| file.exists()), RENEW_DAYS),
        ("http.tls_cert_file", config.http.tls_cert_file.as_ref(), RENEW_DAYS),
        ("packager.tls_cert_file", config.packager.tls_cert_file.as_ref(), RENEW_DAYS),
    ];
    findings.extend(files.into_iter().filter_map(|(key, path, days)| Some(dates(key, path?, days))));
    if [config.http.tls, config.packager.tls].contains(&TlsSource::Cluster) {
        let name = config.cluster.name.clone();
        let own = ApiCertificateFiles::new(name, &config.node.data_dir, Vec::new()).certificate();
        findings.push(match own.exists() {
            true => dates("http.tls", &own, OWN_DAYS),
            false => Finding::ok("http.tls", "the node makes its certificate when it first serves"),
        });
    }
    findings
}

/// The node's certificate is of the cluster's authority and names this node.
fn names(config: &Config) -> Finding {
    const CHECK: &str = "node certificate";
    let (cluster, id) = (&config.cluster, config.node.id);
    match PeerCredentials::load(&cluster.ca_file, &cluster.cert_file, &cluster.key_file, &cluster.name) {
        Ok(credentials) if credentials.identity() == PeerIdentity::Node(id) => {
            Finding::ok(CHECK, format!("names node {id} of cluster {}, by the cluster's CA", cluster.name))
        }
        Ok(credentials) => {
            let saw = format!("names {:?}, but node.id is {id}", credentials.identity());
            Finding::fail(CHECK, saw, "give the node its own certificate, or correct node.id")
        }
        Err(error) if error.is_out_of_date() => {
            let fix = "set the machine's clock if that is wrong; else start the node, which makes its next one: \
                       docs/certificates.md";
            Finding::fail(CHECK, Failure::runtime(error).message(), fix)
        }
        Err(error) => {
            let fix = "give the node a certificate and key by the CA that every node of the cluster has";
            Finding::fail(CHECK, Failure::runtime(error).message(), fix)
        }
    }
}

/// Every certificate of a file is good now, and for some time to come.
fn dates(key: &str, path: &Path, renew_days: i64) -> Finding {
    let read = CertificateDer::pem_file_iter(path).and_then(|found| found.collect::<Result<Vec<_>, _>>());
    let chain = match read {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => {
            let saw = format!("{} holds no certificate", path.display());
            return Finding::fail(key, saw, "put the PEM certificates there");
        }
        Err(error) => {
            let saw = format!("cannot read {}: {error}", path.display());
            return Finding::fail(key, saw, "put the PEM certificates there");
        }
    };
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now_s = i64::try_from(now_s).unwrap_or(i64::MAX);
    let mut left_s = i64::MAX;
    for certificate in &chain {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
            let saw = format!("{} holds what is no certificate", path.display());
            return Finding::fail(key, saw, "put the PEM certificates there");
        };
        let validity = parsed.validity();
        if validity.not_before.timestamp() > now_s {
            let saw = format!("{} is good only from {}", path.display(), validity.not_before);
            return Finding::fail(key, saw, "set the machine's clock, or wait");
        }
        left_s = left_s.min(validity.not_after.timestamp().saturating_sub(now_s));
    }
    judge(key, path, left_s, renew_days)
}

fn judge(key: &str, path: &Path, left_s: i64, renew_days: i64) -> Finding {
    let days = left_s / DAY_S;
    if left_s <= 0 {
        let saw = format!("{} expired {} days ago", path.display(), -days);
        let fix = "renew it; a node makes its own next one when it is started: docs/certificates.md";
        return Finding::fail(key, saw, fix);
    }
    let saw = format!("{} is good for {days} days", path.display());
    if days < renew_days { Finding::warn(key, saw, "renew it soon") } else { Finding::ok(key, saw) }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_certificate_is_judged_by_the_days_it_has_left() {
        let level = |days: i64| judge("a", Path::new("f"), days * DAY_S, RENEW_DAYS).level;
        assert_eq!((level(-1), level(0)), (Level::Fail, Level::Fail));
        assert_eq!((level(29), level(30)), (Level::Warn, Level::Ok));
    }
}
