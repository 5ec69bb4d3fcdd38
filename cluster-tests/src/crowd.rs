//! Hostile clients in numbers, from as many addresses of this machine as they like, each kind in its own way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::{RigError, raw};

/// How long each waits before it opens another connection in place of one that was closed: the siege shall cost
/// the node connections, not the machine its cores.
const PAUSE: Duration = Duration::from_millis(300);

/// What a hostile client does with its connection.
#[derive(Clone, Debug)]
pub enum Attack {
    /// It sends this, and then nothing.
    Stalls(Vec<u8>),
    /// It sends this, if it is let, and reads nothing.
    ReadsNothing(Vec<u8>),
    /// It asks this again and again, and reads the answers.
    Asks(Vec<u8>),
}

/// So many addresses of this machine, none of which other tests use as their own.
pub fn addresses(count: u8) -> Vec<IpAddr> {
    (0..count).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 7, last.saturating_add(1)))).collect()
}

/// A connection from an address of this machine.
///
/// # Errors
/// When it cannot be made.
pub async fn connect_from(from: IpAddr, node: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = timeout(Duration::from_secs(5), socket.connect(node)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request from an address of this machine, and waits for its answer on a connection of its own.
///
/// # Errors
/// When there is no whole answer.
pub fn exchange_from(from: IpAddr, node: SocketAddr, request: &[u8]) -> Result<raw::Answer, RigError> {
    let io = |doing: &'static str| RigError::io(doing);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io("no runtime"))?;
    runtime.block_on(async {
        let mut stream = connect_from(from, node).await.map_err(io("cannot connect"))?;
        stream.write_all(request).await.map_err(io("cannot send"))?;
        let mut received = Vec::new();
        loop {
            if let Some((answer, _)) = raw::parse(&received)? {
                return Ok(answer);
            }
            let read = timeout(raw::ANSWER_WITHIN, stream.read_buf(&mut received)).await;
            if read.map_err(|late| io("no answer")(late.into()))?.map_err(io("cannot read"))? == 0 {
                return Err(RigError::Answer("the connection ended before the answer".to_owned()));
            }
        }
    })
}

/// Hostile clients at work, until it is dropped.
pub struct Crowd {
    done: Arc<AtomicBool>,
    opened: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// So many clients begin, from these addresses in turn.
    ///
    /// # Panics
    /// When there is no thread for them.
    pub fn gather(node: SocketAddr, attack: &Attack, clients: usize, from: &[IpAddr]) -> Self {
        let (done, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let from: Vec<IpAddr> = from.iter().copied().cycle().take(clients).collect();
        let thread = {
            let (done, opened, attack) = (done.clone(), opened.clone(), Arc::new(attack.clone()));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let Ok(runtime) = runtime else { return };
                runtime.block_on(async {
                    for address in from {
                        tokio::spawn(client(address, node, attack.clone(), opened.clone()));
                    }
                    while !done.load(Ordering::Relaxed) {
                        sleep(Duration::from_millis(50)).await;
                    }
                });
            })
        };
        Self { done, opened, thread: Some(thread) }
    }

    /// How many connections were opened so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            drop(thread.join());
        }
    }
}

async fn client(from: IpAddr, node: SocketAddr, attack: Arc<Attack>, opened: Arc<AtomicU64>) {
    loop {
        if let Ok(stream) = connect_from(from, node).await {
            opened.fetch_add(1, Ordering::Relaxed);
            // However it ends: there is another.
            drop(attacks(stream, &attack).await);
        }
        sleep(PAUSE).await;
    }
}

async fn attacks(mut stream: TcpStream, attack: &Attack) -> std::io::Result<()> {
    let mut ignored = vec![0; 16 * 1024];
    match attack {
        Attack::Stalls(bytes) => {
            stream.write_all(bytes).await?;
            while stream.read(&mut ignored).await? > 0 {}
        }
        Attack::ReadsNothing(bytes) => {
            stream.write_all(bytes).await?;
            sleep(Duration::from_secs(3600)).await;
        }
        Attack::Asks(bytes) => loop {
            stream.write_all(bytes).await?;
            if stream.read(&mut ignored).await? == 0 {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        },
    }
    Ok(())
}
