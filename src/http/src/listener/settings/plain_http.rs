//! Listeners that serve clients beyond this machine in the clear, though nobody has said that they shall.

use std::net::SocketAddr;

use super::{HttpSettings, TlsSource};

/// A listener whose clients are served in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainHttp {
    /// Its section of the configuration.
    pub section: &'static str,
    /// Where it listens.
    pub listen: SocketAddr,
}

impl PlainHttp {
    /// What is wrong.
    pub fn problem(&self) -> String {
        let Self { section, listen } = self;
        format!("{section}.listen {listen} serves plain HTTP: content keys cross the network in the clear")
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        let section = self.section;
        format!(
            "set {section}.tls = \"cluster\" for a certificate of the cluster's own authority, or \
             {section}.tls_cert_file and tls_key_file; where a TLS proxy stands in front, {section}.tls = \"off\""
        )
    }
}

/// The listeners that serve plain HTTP beyond this machine without having been told to.
pub fn plain_http(settings: &HttpSettings) -> Vec<PlainHttp> {
    let (http, packager) = (&settings.http, &settings.packager);
    let listeners = [
        ("http", Some(http.listen), http.tls, &http.tls_cert_file),
        ("packager", packager.listen, packager.tls, &packager.tls_cert_file),
    ];
    let unasked = listeners.into_iter().filter_map(|(section, listen, tls, cert)| {
        let listen = listen?;
        let is_plain = tls == TlsSource::Files && cert.is_none() && !listen.ip().is_loopback();
        is_plain.then_some(PlainHttp { section, listen })
    });
    unasked.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Http, Packager};
    use super::*;

    #[test]
    fn what_is_plain_beyond_this_machine_is_named_unless_it_was_asked_for() {
        let named = |listen: &str, tls, cert: Option<&str>| {
            let http = Http {
                listen: listen.parse().unwrap(),
                tls,
                tls_cert_file: cert.map(Into::into),
                ..Http::default()
            };
            let packager = Packager { listen: Some(http.listen), tls, ..Packager::default() };
            let found = plain_http(&HttpSettings { http, packager, waiting_checks_max: 1 });
            found.into_iter().map(|plain| plain.section).collect::<Vec<_>>()
        };
        assert_eq!(named("0.0.0.0:1", TlsSource::Files, None), ["http", "packager"]);
        assert_eq!(named("[::]:1", TlsSource::Files, Some("cert.pem")), ["packager"]);
        for asked in [TlsSource::Cluster, TlsSource::Off] {
            assert_eq!(named("0.0.0.0:1", asked, None), [""; 0]);
        }
        assert_eq!(named("127.0.0.1:1", TlsSource::Files, None), [""; 0]);
        assert_eq!(named("[::1]:1", TlsSource::Files, None), [""; 0]);
    }
}
