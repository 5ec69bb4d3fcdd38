//! The admin API as commands use it: each request by one operator, at one node.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::Failure;
use keymoot_model::NodeId;
use keymoot_service::admin::{Call, Method, UseCase};
use keymoot_tls::OperatorCredential;

/// How long a node may take to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node may take to answer: it confirms who asks, and then waits for a quorum itself.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The longest answer: lists are of a few hundred members.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most addresses of a name.
const ADDRESSES_MAX: usize = 16;

/// One operator, and the node that is asked.
#[derive(Clone)]
pub(super) struct AdminApi {
    agent: Agent,
    base: String,
    address: String,
    /// What proves the operator.
    pub credential: Arc<OperatorCredential>,
}

/// Why nothing was done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nobody is there, or nobody who takes the certificate.
    Unreached(Failure),
    /// The credential is nobody's, was revoked or has expired.
    Unknown(Failure),
    /// What was asked for is refused.
    Other(Failure),
}

impl Refusal {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Unreached(failure) | Self::Unknown(failure) | Self::Other(failure) => failure,
        }
    }
}

/// A refusal as the API writes it.
#[derive(Deserialize)]
struct Problem {
    detail: String,
    remedy: Option<String>,
}

impl AdminApi {
    /// Shows the credential in this file to the node of this id, which listens to operators at `address`.
    pub(super) fn new(file: &Path, node: NodeId, address: &str) -> Result<Self, Failure> {
        let credential = OperatorCredential::load(file).map_err(|error| {
            Failure::usage(error)
                .hint("keymoot operator add makes one; --operator and admin.credential_file name it")
        })?;
        let port = address.rsplit_once(':').map_or("", |(_, port)| port);
        let base = format!("https://node-{node}.{}.keymoot.internal:{port}", credential.cluster);
        let unusable = || Failure::misuse(format!("{} cannot be used as a credential", file.display()));
        let tls = tls(&credential).ok_or_else(unusable)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("keymoot/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .tls_config(tls)
            .build();
        let at = At(address.to_owned());
        let agent = Agent::with_parts(config, DefaultConnector::default(), at);
        Ok(Self { agent, base, address: address.to_owned(), credential: Arc::new(credential) })
    }

    /// Asks, and waits for the answer.
    pub(super) async fn call(&self, call: &Call) -> Result<Value, Failure> {
        let asked = self.try_call(call).await;
        asked.map_err(Refusal::into_failure)
    }

    /// The same, with what the refusal means to the credential.
    pub(super) async fn try_call(&self, call: &Call) -> Result<Value, Refusal> {
        let unknown = || Refusal::Other(Failure::because("the admin API has no such request"));
        let (case, parameters) = call.to_parameters().ok_or_else(unknown)?;
        let api = self.clone();
        let asked = tokio::task::spawn_blocking(move || api.exchange(case, &parameters));
        asked.await.map_err(|error| Refusal::Other(Failure::runtime(error)))?
    }

    fn exchange(&self, case: UseCase, parameters: &Value) -> Result<Value, Refusal> {
        let unreached = |error: ureq::Error| Refusal::Unreached(self.unreached(&error));
        let url = format!("{}{}", self.base, case.path());
        let mut answer = match case.method() {
            Method::Get => {
                let members = parameters.as_object().into_iter().flatten();
                let pairs = members.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
                self.agent.get(url).query_pairs(pairs).call()
            }
            Method::Post => {
                let body = zeroize::Zeroizing::new(parameters.to_string());
                self.agent.post(url).header("content-type", "application/json").send(body.as_bytes())
            }
        }
        .map_err(unreached)?;
        let status = answer.status().as_u16();
        let body =
            answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unreached)?;
        if status == 200 {
            return serde_json::from_slice(&body).map_err(|error| Refusal::Other(Failure::runtime(error)));
        }
        let failure = match serde_json::from_slice(&body) {
            Ok(Problem { detail, remedy: Some(remedy) }) => Failure::because(detail).hint(remedy),
            Ok(Problem { detail, remedy: None }) => Failure::because(detail),
            Err(_) => Failure::because(format!("{} answered with status {status}", self.address)),
        };
        Err(if status == 401 { Refusal::Unknown(failure) } else { Refusal::Other(failure) })
    }

    fn unreached(&self, error: &ureq::Error) -> Failure {
        let reason = match error {
            ureq::Error::Io(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                "nobody listens there".to_owned()
            }
            other => other.to_string(),
        };
        let failure = Failure::because(format!("cannot ask {} over the admin API: {reason}", self.address));
        failure.hint("does the node run, and is that its admin.listen? see its log, or ask another node")
    }
}

/// Connects to one address, whatever the name in the URL: that is the one in the node's certificate.
#[derive(Debug)]
struct At(String);

impl Resolver for At {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found: Vec<SocketAddr> = self.0.to_socket_addrs()?.take(ADDRESSES_MAX).collect();
        if found.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        let mut addresses = self.empty();
        for address in found {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

fn tls(credential: &OperatorCredential) -> Option<TlsConfig> {
    let mut key: Option<PrivateKey<'static>> = None;
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(credential.pem().expose()) {
        match item.ok()? {
            PemItem::PrivateKey(own) => key = Some(own),
            PemItem::Certificate(certificate) => certificates.push(certificate),
            _ => {}
        }
    }
    let (own, authorities) = certificates.split_first()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientCert::new_with_certs(std::slice::from_ref(own), key?);
    let builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    let roots = RootCerts::Specific(Arc::new(authorities.to_vec()));
    Some(builder.root_certs(roots).client_cert(Some(client)).build())
}
