//! A listener without a socket and without TLS: its connections are streams in this process. Everything above
//! is what the API's and the packagers' listeners have, so that a fuzzer reaches what any client reaches.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::error::DispatchError;
use actix_service::{Service as _, ServiceFactory as _, boxed};
use actix_web::rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::dispatch::Site;
use crate::listener::bind::{Listener, remember, with_peer};
use crate::listener::server::{for_packagers, for_signing, handlers};
use crate::listener::settings::HttpSettings;
use crate::listener::timed_stream::{ClientStream, TimedStream};

/// The most bytes on the way in one direction; more wait at the sender.
const PIPE_BYTES: usize = 16 * 1024;

type Http = boxed::BoxService<(TimedStream<MemoryStream>, Option<SocketAddr>), (), DispatchError>;

/// One worker of a listener, for connections in memory.
pub struct MemoryListener {
    accept: Box<dyn Fn(MemoryStream) -> TimedStream<MemoryStream>>,
    http: Rc<Http>,
}

impl MemoryListener {
    /// The API, in the current actix system.
    ///
    /// # Errors
    /// When its services do not start.
    pub async fn of_api(config: &HttpSettings, connections_max: usize, api: Api) -> io::Result<Self> {
        let (listener, site) = for_signing(config, connections_max, api);
        Self::new(&listener, site).await
    }

    /// What packagers are served that cannot sign, in the current actix system; `None` when they have no listener.
    ///
    /// # Errors
    /// When its services do not start.
    pub async fn of_packagers(
        config: &HttpSettings,
        connections_max: usize,
        api: Api,
    ) -> io::Result<Option<Self>> {
        match for_packagers(config, connections_max, api) {
            Some((listener, site)) => Self::new(&listener, site).await.map(Some),
            None => Ok(None),
        }
    }

    async fn new(listener: &Listener<'_>, site: Site) -> io::Result<Self> {
        let worker = listener.worker(false, listener.address);
        let http = worker.http(&handlers(listener, site), pending::<()>, remember);
        let http = http.new_service(()).await.map_err(|()| io::Error::other("no services"))?;
        Ok(Self { accept: Box::new(worker.acceptor()), http: Rc::new(boxed::service(http)) })
    }

    /// Connects a client that comes from there. The task ends with the connection.
    pub fn connect(&self, from: SocketAddr) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(PIPE_BYTES);
        let stream = with_peer((self.accept)(MemoryStream { io: far, from }));
        let http = self.http.clone();
        let serving = actix_web::rt::spawn(async move {
            // How a connection ended is its client's to see.
            drop(http.call(stream).await);
        });
        (near, serving)
    }
}

/// The server's end of a connection in memory.
struct MemoryStream {
    io: DuplexStream,
    from: SocketAddr,
}

impl ClientStream for MemoryStream {
    fn peer(&self) -> Option<SocketAddr> {
        Some(self.from)
    }

    fn local(&self) -> Option<SocketAddr> {
        None
    }

    fn discard_rest(&self) {}
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl ActixStream for MemoryStream {
    fn poll_read_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        // To read and to write says whether anything can be; HTTP does nothing else.
        Poll::Ready(Ok(Ready::READABLE))
    }

    fn poll_write_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Poll::Ready(Ok(Ready::WRITABLE))
    }
}
