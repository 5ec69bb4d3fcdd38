//! A syslog server over TCP or TLS.
//!
//! Syslog acknowledges nothing. What is written is in the buffers of two kernels, and lost when the server ends
//! there. So the node closes its half of the connection now and then, and waits for the server to close the
//! other: a server does so when it has read everything. Only then do the events count as delivered.

use std::io;
use std::time::Duration;

use keymoot_outgoing::{Connection, DialError, Dialer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{Delivery, Fault, late};
use crate::form::{Form, Record};
use crate::settings::{Confirm, SyslogAddress};
use crate::syslog::framed;
use crate::{RECEIVER_WITHIN, TlsConfig};

pub(crate) struct Syslog {
    address: SyslogAddress,
    dialer: Dialer,
    is_tls: bool,
    confirm: Confirm,
    connection: Option<Box<dyn Connection>>,
    /// Whether something was written to the connection that is not confirmed.
    has_written: bool,
}

impl Syslog {
    pub(super) fn new(address: SyslogAddress, tls: TlsConfig, is_tls: bool, confirm: Confirm) -> Self {
        let dialer = Dialer::new(tls, RECEIVER_WITHIN);
        Self { address, dialer, is_tls, confirm, connection: None, has_written: false }
    }

    /// Connects, unless there is a connection that the server has not closed.
    pub(super) async fn connect(&mut self) -> Result<(), Fault> {
        if let Some(connection) = &mut self.connection
            && is_open(connection).await
        {
            return Ok(());
        }
        self.connection = None;
        if std::mem::take(&mut self.has_written) {
            // What was written to it has to be sent again first.
            return Err(Fault::Unknown("the server closed the connection".to_owned()));
        }
        let (host, port) = (self.address.host(), self.address.port());
        let dialled = self.dialer.dial_host(&host, port, self.is_tls).await;
        self.connection = Some(dialled.map_err(|error| Fault::NotSent(unreached(&error)))?);
        Ok(())
    }

    pub(super) async fn send(&mut self, form: Form, batch: &[Record<'_>]) -> Result<Delivery, Fault> {
        let Some(mut connection) = self.connection.take() else {
            return Err(Fault::NotSent("there is no connection".to_owned()));
        };
        self.has_written = true;
        let mut bytes = Vec::new();
        for record in batch {
            framed(record, form, &mut bytes);
        }
        let written = async {
            connection.write_all(&bytes).await?;
            connection.flush().await
        };
        match timeout(RECEIVER_WITHIN, written).await {
            Ok(Ok(())) => {
                self.connection = Some(connection);
                Ok(Delivery::Written)
            }
            Ok(Err(error)) => Err(Fault::Unknown(format!("the connection broke: {error}"))),
            Err(_) => Err(Fault::Unknown(late("the server did not take a batch"))),
        }
    }

    /// Closes this half, and waits until the server has closed the other. Without confirmations, the connection that
    /// is still open has to do.
    pub(super) async fn confirm(&mut self) -> Result<(), Fault> {
        self.has_written = false;
        let closed = || Fault::Unknown("the server closed the connection".to_owned());
        let mut connection = self.connection.take().ok_or_else(closed)?;
        if self.confirm == Confirm::None {
            return match is_open(&mut connection).await {
                true => {
                    self.connection = Some(connection);
                    Ok(())
                }
                false => Err(closed()),
            };
        }
        let closed = async {
            connection.shutdown().await?;
            let mut said = [0; 256];
            while connection.read(&mut said).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        match timeout(RECEIVER_WITHIN, closed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => match self.confirm {
                // Whoever is on the way could have closed it, and kept what was written.
                Confirm::CloseNotify => Err(Fault::Unknown(
                    "the connection ended without TLS's close_notify (set confirm = \"end\" if the server never sends \
                     it, as rsyslog's driver gtls)"
                        .to_owned(),
                )),
                Confirm::End | Confirm::None => Ok(()),
            },
            Ok(Err(error)) => Err(Fault::Unknown(format!("the connection broke: {error}"))),
            Err(_) => Err(Fault::Unknown(late(
                "the server did not close its end after this node's (set confirm = \"none\" if it never does)",
            ))),
        }
    }
}

/// Whether the server has neither closed the connection nor said anything on it.
async fn is_open(connection: &mut Box<dyn Connection>) -> bool {
    let mut said = [0; 1];
    timeout(Duration::ZERO, connection.read(&mut said)).await.is_err()
}

fn unreached(error: &DialError) -> String {
    format!("no connection: {error}")
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use keymoot_tls::web_client_config;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const LINE: &str = "{}";

    async fn sink(confirm: Confirm) -> (Syslog, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = SyslogAddress::try_from(listener.local_addr().unwrap().to_string()).unwrap();
        (Syslog::new(address, web_client_config(None, None).unwrap(), false, confirm), listener)
    }

    async fn sent(sink: &mut Syslog) -> Delivery {
        sink.send(Form::Json, &[Record::new("log", "host", 1, LINE, false)]).await.unwrap()
    }

    async fn read_to_end(stream: &mut TcpStream) -> usize {
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap()
    }

    #[tokio::test]
    async fn what_the_server_has_read_to_the_end_is_confirmed() {
        let (mut sink, listener) = sink(Confirm::CloseNotify).await;
        sink.connect().await.unwrap();
        assert_eq!(sent(&mut sink).await, Delivery::Written);
        let (mut stream, _) = listener.accept().await.unwrap();
        let server = tokio::spawn(async move { read_to_end(&mut stream).await });
        sink.confirm().await.unwrap();
        assert!(server.await.unwrap() > 40);
        sink.connect().await.unwrap();
    }

    #[tokio::test]
    async fn what_a_server_has_not_read_is_not_confirmed_when_it_ends_or_hangs() {
        let (mut sink, listener) = sink(Confirm::CloseNotify).await;
        sink.connect().await.unwrap();
        sent(&mut sink).await;
        let (stream, _) = listener.accept().await.unwrap();
        // Unread bytes in its buffer: the kernel resets the connection.
        drop(stream);
        assert!(matches!(sink.confirm().await, Err(Fault::Unknown(_))));

        sink.connect().await.unwrap();
        sent(&mut sink).await;
        let (_hangs, _) = listener.accept().await.unwrap();
        tokio::time::pause();
        let fault = sink.confirm().await.unwrap_err();
        assert!(fault.to_string().contains("within 10 s"), "{fault}");
    }

    #[tokio::test]
    async fn what_was_written_to_a_connection_that_the_server_closed_is_sent_again() {
        for confirm in [Confirm::End, Confirm::None] {
            let (mut sink, listener) = sink(confirm).await;
            sink.connect().await.unwrap();
            sink.connect().await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            sent(&mut sink).await;
            drop(stream);
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(matches!(sink.connect().await, Err(Fault::Unknown(_))));
            // Once that is known, it begins anew.
            sink.connect().await.unwrap();
        }
    }

    #[tokio::test]
    async fn without_confirmations_an_open_connection_has_to_do() {
        let (mut sink, listener) = sink(Confirm::None).await;
        sink.connect().await.unwrap();
        sent(&mut sink).await;
        let (stream, _) = listener.accept().await.unwrap();
        sink.confirm().await.unwrap();
        assert!(sink.connection.is_some());
        drop(stream);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(matches!(sink.confirm().await, Err(Fault::Unknown(_))));
    }

    /// TLS whose connection ended without a last word.
    struct Truncated;

    impl AsyncRead for Truncated {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
    }

    impl AsyncWrite for Truncated {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn an_end_that_anybody_could_have_made_confirms_only_where_the_configuration_says_so() {
        for (confirm, is_confirmed) in [(Confirm::CloseNotify, false), (Confirm::End, true)] {
            let (mut sink, _listener) = sink(confirm).await;
            sink.connection = Some(Box::new(Truncated));
            let confirmed = sink.confirm().await;
            assert_eq!(confirmed.is_ok(), is_confirmed, "{confirmed:?}");
        }
    }
}
