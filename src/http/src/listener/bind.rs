//! How a listener is bound: its socket, its TLS, and the connections that each worker accepts.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpMessage as _, HttpService, KeepAlive, Request};
use actix_service::{
    IntoServiceFactory as _, Service as _, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory,
    fn_service, map_config,
};
use actix_tls::accept::TlsError as AcceptError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Extensions, Server};
use actix_web::rt::net::TcpStream;
use actix_web::web::ServiceConfig;
use actix_web::{App, Error};
use futures::future::{poll_fn, ready};
use ipnet::IpNet;
use prometheus::IntGauge;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;

use crate::listener::settings::{Http, HttpSettings};
use keymoot_auth::{ClientCertificate, allowed};
use keymoot_crypto::wiped_once_ready;
use keymoot_model::client_network;
use keymoot_telemetry::Metrics;
use keymoot_tls::TlsError;
use keymoot_tls::{ApiTls, ApiTlsFiles};

use crate::listener::connection::{ClientTimeouts, Connection};
use crate::listener::connection_table::ConnectionTable;
use crate::listener::own_head::with_own_head;
use crate::listener::server::HttpError;
use crate::listener::timed_stream::{ClientStream, TimedStream};
use crate::request::incoming_body::has_body;

/// How often certificate files are looked at. Renewal happens days before the old ones end.
const RELOAD_EVERY: Duration = Duration::from_secs(5);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long the rest of a request is read that was refused before its end, so that its client sees why.
const LINGER: Duration = Duration::from_secs(1);

/// A listener, before it is bound.
pub(crate) struct Listener<'c> {
    pub config: &'c HttpSettings,
    pub metrics: Arc<Metrics>,
    /// Its name in metrics.
    pub name: &'static str,
    pub address: SocketAddr,
    pub workers: usize,
    /// The most connections of a worker.
    pub connections_per_worker_max: usize,
    pub tls: TlsOf<'c>,
}

/// The TLS of a listener: none without a certificate.
#[derive(Clone, Copy)]
pub(crate) struct TlsOf<'c> {
    pub cert: &'c Option<PathBuf>,
    pub key: &'c Option<PathBuf>,
    /// The authority of client certificates.
    pub client_ca: &'c Option<PathBuf>,
    /// Whether each client must show one.
    pub client_required: bool,
    /// Whether the clients are operators.
    pub for_operators: bool,
}

impl<'c> TlsOf<'c> {
    /// That of the API's address: a certificate of the client's is asked for, and not demanded.
    pub(crate) const fn of_api(http: &'c Http) -> Self {
        Self {
            cert: &http.tls_cert_file,
            key: &http.tls_key_file,
            client_ca: &http.tls_client_ca_file,
            client_required: false,
            for_operators: false,
        }
    }
}

impl Listener<'_> {
    /// Binds the address and makes the server of what `setup` adds to each worker; it serves when awaited.
    ///
    /// # Errors
    /// [`HttpError`]; then nothing listens.
    pub(crate) fn bind(
        self,
        setup: impl Fn(&mut ServiceConfig) + Send + Clone + 'static,
    ) -> Result<(Server, Vec<SocketAddr>), HttpError> {
        let refused = |source| HttpError::Listen { address: self.address.to_string(), source };
        // The table of connections bounds handshakes, too; actix-tls would stop taking connections at 256 of them.
        actix_tls::accept::max_concurrent_tls_connect(usize::MAX);
        let tls = self.followed_tls()?;
        let socket = bound(self.address).map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        let builder = Server::build()
            .workers(self.workers)
            .max_concurrent_connections(self.connections_per_worker_max)
            .shutdown_timeout(self.config.http.drain_timeout_ms.div_ceil(1000))
            .disable_signals();
        let signal = builder.graceful_shutdown_signal();
        let stopping = move || {
            let signal = signal.clone();
            async move { signal.notified().await }
        };
        let worker = self.worker(tls.is_some(), address);
        let server = match tls {
            None => builder.listen(self.name, socket, move || {
                let accept = worker.acceptor();
                let accepted = move |tcp: TcpStream| ready(Ok::<_, DispatchError>(with_peer(accept(tcp))));
                fn_service(accepted).and_then(worker.http(&setup, stopping.clone(), remember))
            }),
            Some(tls) => builder.listen(self.name, socket, move || {
                let accept = worker.acceptor();
                let accepted = move |tcp| ready(Ok::<_, AcceptError<io::Error, DispatchError>>(accept(tcp)));
                fn_service(accepted)
                    .and_then(Acceptor::new(tls.clone()).map_err(AcceptError::into_service_error))
                    .map(|stream: TlsStream<TimedStream>| {
                        let peer = stream.get_ref().0.peer();
                        (stream, peer)
                    })
                    .and_then(
                        worker.http(&setup, stopping.clone(), remember_tls).map_err(AcceptError::Service),
                    )
            }),
        };
        Ok((server.map_err(refused)?.run(), vec![address]))
    }

    /// A worker that answers what comes to this address.
    pub(super) fn worker(&self, is_secure: bool, address: SocketAddr) -> Worker {
        Worker {
            timeouts: ClientTimeouts::new(&self.config.http),
            connections_max: self.connections_per_worker_max,
            per_client_max: self.per_client_max(),
            exempt: self.config.http.trusted_proxies.as_slice().into(),
            open: self.metrics.http_connections.with_label_values(&[self.name]),
            is_secure,
            address,
            metrics: self.metrics.clone(),
        }
    }

    /// The most connections of a worker from one address: half of what there are, at most. Workers accept in turn.
    fn per_client_max(&self) -> usize {
        let all = self.config.http.connections_per_address_max;
        all.div_ceil(self.workers.max(1)).min(self.connections_per_worker_max / 2).max(1)
    }

    /// Its TLS, if it has a certificate; it follows its files from now on.
    fn followed_tls(&self) -> Result<Option<ServerConfig>, TlsError> {
        let TlsOf { cert: Some(cert), key: Some(key), client_ca, client_required, for_operators } = self.tls
        else {
            return Ok(None);
        };
        let (cert, key, client_ca) = (cert.clone(), key.clone(), client_ca.clone());
        let files = ApiTlsFiles { cert, key, client_ca, client_required };
        let tls = if for_operators { ApiTls::load_for_operators(files)? } else { ApiTls::load(files)? };
        let mut config = tls.server_config()?;
        config.alpn_protocols.push(b"http/1.1".to_vec());
        actix_web::rt::spawn(follow_files(tls, self.metrics.clone(), self.name));
        Ok(Some(config))
    }
}

/// What a worker needs to know of the connections that it accepts.
#[derive(Clone)]
pub(super) struct Worker {
    timeouts: ClientTimeouts,
    connections_max: usize,
    per_client_max: usize,
    /// Proxies that bring the connections of many.
    exempt: Arc<[IpNet]>,
    /// Counts its open connections.
    open: IntGauge,
    is_secure: bool,
    address: SocketAddr,
    metrics: Arc<Metrics>,
}

impl Worker {
    /// Gives each accepted stream its time limits and registers its connection; one for each worker.
    pub(super) fn acceptor<S: ClientStream>(&self) -> impl Fn(S) -> TimedStream<S> + Clone + use<S> {
        let table = ConnectionTable::new(self.connections_max, self.per_client_max, self.open.clone());
        let (worker, table) = (self.clone(), Rc::new(table));
        move |stream: S| {
            let slow_clients = worker.metrics.http_slow_clients_total.clone();
            let local = stream.local().unwrap_or(worker.address);
            let connection = Connection::new(worker.is_secure, local, worker.timeouts, slow_clients);
            let connection = Rc::new(connection);
            let address = stream.peer().map(|peer| peer.ip());
            let client = address.filter(|address| !allowed(*address, &worker.exempt)).map(client_network);
            let registration = table.register(&connection, client);
            TimedStream::new(stream, connection, registration)
        }
    }

    /// HTTP on streams of whatever kind, with `keep` of each connection for the requests on it, until
    /// `stopping` resolves.
    pub(super) fn http<T, A, S, F>(
        &self,
        setup: &A,
        stopping: S,
        keep: fn(&T, &mut Extensions),
    ) -> impl ServiceFactory<
        (T, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<T, A, S, F>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
        A: Fn(&mut ServiceConfig) + 'static,
        S: Fn() -> F + 'static,
        F: Future<Output = ()> + 'static,
    {
        let app = App::new().configure(|config| setup(config)).into_factory();
        let app = app.map_err(|error: Error| error.error_response());
        HttpService::<T, _, BoxBody>::build()
            .graceful_shutdown_signal(stopping)
            // The stream below keeps these limits.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(LINGER)
            .local_addr(self.address)
            .on_connect_ext(keep)
            .h1(apply_fn_factory(map_config(app, |_| AppConfig::default()), |request: Request, app| {
                let may_hold_a_key = has_body(request.headers());
                let mut answer = Box::pin(app.call(with_own_head(request)));
                poll_fn(move |context| match may_hold_a_key {
                    true => wiped_once_ready(|| answer.as_mut().poll(context)),
                    false => answer.as_mut().poll(context),
                })
            }))
    }
}

fn bound(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it. Without it an answer of several parts waits for the client's delayed acknowledgement.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// The stream and its client's address, as HTTP wants them.
pub(super) fn with_peer<S: ClientStream>(stream: TimedStream<S>) -> (TimedStream<S>, Option<SocketAddr>) {
    let peer = stream.peer();
    (stream, peer)
}

/// Keeps what is known of a connection for the requests on it.
pub(super) fn remember<S: ClientStream>(stream: &TimedStream<S>, kept: &mut Extensions) {
    kept.insert(stream.connection().clone());
}

/// The same, and the certificate that the client showed.
fn remember_tls(stream: &TlsStream<TimedStream>, kept: &mut Extensions) {
    let (below, tls) = stream.get_ref();
    remember(below, kept);
    if let Some(chain) = tls.peer_certificates()
        && let Some(certificate) = chain.first().and_then(|own| ClientCertificate::parse(own))
    {
        kept.insert(certificate);
    }
}

/// Looks at the certificate files again and again, as long as the process lives.
async fn follow_files(tls: ApiTls, metrics: Arc<Metrics>, listener: &'static str) {
    let expires = metrics.certificate_expires_timestamp_seconds.with_label_values(&[listener]);
    loop {
        expires.set(tls.expires_at_s().unwrap_or(0));
        actix_web::rt::time::sleep(RELOAD_EVERY).await;
        match tls.reload() {
            Ok(true) => tracing::info!("a listener's certificates were read anew"),
            Ok(false) => {}
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "a listener's certificates changed and cannot be used; the old ones stay");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_parts_of_an_answer_wait_for_no_acknowledgement() {
        let listener = bound("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = loop {
            match listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
                accepted => break accepted.unwrap(),
            }
        };
        assert!(accepted.nodelay().unwrap());
    }
}
