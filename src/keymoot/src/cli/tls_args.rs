//! How a new node serves its clients: with a certificate of the cluster's authority, with one that is given,
//! or in the clear.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::node_files::absolute;
use keymoot_command::Failure;
use keymoot_http::settings::TlsName;

/// How a new node serves its clients.
#[derive(Clone, Debug, Default, Args)]
pub struct TlsArgs {
    /// A DNS name or an address under which clients reach the node, for the certificate that the node makes for its
    /// API; those of this host, of --advertise and of the listeners are in it anyway. Repeatable.
    #[arg(long = "http-name", value_name = "NAME", conflicts_with_all = ["plain_http", "http_cert"])]
    pub http_names: Vec<TlsName>,
    /// The API's certificate chain, PEM, in place of one that the node makes.
    #[arg(long, value_name = "FILE", requires = "http_key")]
    pub http_cert: Option<PathBuf>,
    /// Its private key, PEM, mode 0600.
    #[arg(long, value_name = "FILE", requires = "http_cert")]
    pub http_key: Option<PathBuf>,
    /// Serve clients in the clear, without TLS: for tests, or where a TLS proxy stands in front.
    #[arg(long, conflicts_with = "http_cert")]
    pub plain_http: bool,
}

impl TlsArgs {
    /// Refuses what would serve clients at `address` in the clear unasked. `signs` says whether the cluster's
    /// authority signs certificates.
    ///
    /// # Errors
    /// [`Failure`] says what to pass.
    pub(super) fn check(&self, address: IpAddr, signs: bool) -> Result<(), Failure> {
        if signs || self.plain_http || self.http_cert.is_some() || address.is_loopback() {
            return Ok(());
        }
        let problem = "with a certificate that was issued by hand, the node makes none for its API, and clients beyond \
                       this machine would be served in the clear";
        Err(Failure::misuse(problem).hint("pass --http-cert FILE --http-key FILE, or --plain-http"))
    }

    /// The keys of the configuration's section `http`. `hosts` are names and addresses of the node.
    ///
    /// # Errors
    /// When a file that is given is not there.
    pub(super) fn keys(&self, hosts: &[String], signs: bool) -> Result<String, Failure> {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        if self.plain_http {
            return Ok("tls = \"off\"\n".to_owned());
        }
        if let (Some(cert), Some(key)) = (&self.http_cert, &self.http_key) {
            let [cert, key] = [absolute(cert)?, absolute(key)?].map(|it| quoted(&it.to_string_lossy()));
            return Ok(format!("tls_cert_file = {cert}\ntls_key_file = {key}\n"));
        }
        if !signs {
            return Ok(String::new());
        }
        let names: Vec<String> = self.names(hosts).iter().map(|it| quoted(it.as_str())).collect();
        Ok(format!("tls = \"cluster\"\ntls_names = [{}]\n", names.join(", ")))
    }

    /// The keys of the configuration's section `auth`: where the node makes its certificate, clients ask for it by
    /// the names in that, and a signature for another is not for it.
    pub(super) fn auth_keys(&self, hosts: &[String], signs: bool) -> String {
        if self.plain_http || self.http_cert.is_some() || !signs {
            return String::new();
        }
        let names = self.names(hosts);
        let names: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
        let names = if names.is_empty() { vec!["localhost".to_owned()] } else { names };
        let in_brackets = |name: String| if name.contains(':') { format!("[{name}]") } else { name };
        let quoted = |name: String| toml::Value::from(in_brackets(name)).to_string();
        format!(
            "\n[auth]\nauthorities = [{}]\n",
            names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
        )
    }

    /// The names in the certificate beside those of this host, which always stand in it.
    fn names(&self, hosts: &[String]) -> Vec<TlsName> {
        let is_this_host = |name: &TlsName| {
            let address = name.as_str().parse::<IpAddr>();
            name.as_str() == "localhost" || address.is_ok_and(|it| it.is_loopback() || it.is_unspecified())
        };
        let hosts = hosts.iter().filter_map(|host| host.parse().ok()).filter(|host| !is_this_host(host));
        let mut seen = BTreeSet::new();
        self.http_names.iter().cloned().chain(hosts).filter(|name| seen.insert(name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(args: &TlsArgs, hosts: &[&str], signs: bool) -> String {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        args.keys(&hosts, signs).unwrap()
    }

    #[test]
    fn a_node_serves_by_tls_unless_it_is_told_otherwise() {
        let named = TlsArgs { http_names: vec!["drm.example.net".parse().unwrap()], ..TlsArgs::default() };
        let hosts =
            ["km1.example.net", "127.0.0.1", "0.0.0.0", "10.1.2.3", "localhost", "drm.example.net", "a_b"];
        assert_eq!(
            keys(&named, &hosts, true),
            "tls = \"cluster\"\ntls_names = [\"drm.example.net\", \"km1.example.net\", \"10.1.2.3\", \"a_b\"]\n"
        );
        assert_eq!(keys(&TlsArgs::default(), &["127.0.0.1"], true), "tls = \"cluster\"\ntls_names = []\n");
        let owned: Vec<String> = ["km1", "fd00::1"].map(str::to_owned).to_vec();
        assert_eq!(
            named.auth_keys(&owned, true),
            "\n[auth]\nauthorities = [\"drm.example.net\", \"km1\", \"[fd00::1]\"]\n"
        );
        assert_eq!(TlsArgs::default().auth_keys(&[], true), "\n[auth]\nauthorities = [\"localhost\"]\n");
        let plain = TlsArgs { plain_http: true, ..TlsArgs::default() };
        assert_eq!(plain.auth_keys(&owned, true) + &named.auth_keys(&owned, false), "");
        assert_eq!(keys(&plain, &hosts, true), "tls = \"off\"\n");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pem");
        std::fs::write(&file, "").unwrap();
        let given = TlsArgs { http_cert: Some(file.clone()), http_key: Some(file), ..TlsArgs::default() };
        assert!(keys(&given, &hosts, false).contains("tls_key_file = \""));
        assert!(TlsArgs { http_key: Some("nowhere".into()), ..given }.keys(&[], true).is_err());
    }

    #[test]
    fn nobody_is_served_in_the_clear_from_afar_unasked() {
        let (near, far) = ("127.0.0.1".parse().unwrap(), "0.0.0.0".parse().unwrap());
        let args = TlsArgs::default();
        assert!(args.check(far, true).is_ok() && args.check(near, false).is_ok());
        let refused = args.check(far, false).unwrap_err();
        assert!(refused.to_string().contains("in the clear"), "{refused}");
        assert!(TlsArgs { plain_http: true, ..args }.check(far, false).is_ok());
        assert_eq!(keys(&TlsArgs::default(), &[], false), "");
    }
}
