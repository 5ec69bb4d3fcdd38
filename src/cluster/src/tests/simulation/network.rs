//! A network in memory: connections between nodes whose frames take time, arrive in order, and stop
//! arriving when the way is blocked or the connection breaks.
//!
//! One connection has the guarantees of TCP. There are none between connections: a request whose
//! connection broke may have arrived and its answer been lost, and a copy of a proposal may arrive
//! much later, as if a router had kept it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex, join};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::NodeId;
use keymoot_state::Proposal;

use super::fate::Fate;
use crate::node::Node;
use crate::peer::route::{Connection, Dial};
use crate::server;
use crate::wire::frame::{self, Frame};
use crate::wire::message::Request;

/// The most bytes in flight in a pipe; more wait at the sender.
const PIPE_BYTES: usize = 64 * 1024;
/// How often a blocked way is checked.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The conditions for frames on all connections.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    /// How long a frame takes, from and to, in milliseconds.
    pub delay_ms: (u64, u64),
    /// How many frames in a thousand are lost; their connection breaks.
    pub lost_per_mille: u64,
    /// How many frames in a thousand are the last to arrive on their connection, which then breaks.
    pub last_per_mille: u64,
    /// How many proposals in a thousand arrive a second time, up to a second later.
    pub copied_per_mille: u64,
}

/// The weather without faults.
pub(crate) const CALM: Weather =
    Weather { delay_ms: (0, 2), lost_per_mille: 0, last_per_mille: 0, copied_per_mille: 10 };

pub(crate) struct SimulatedNetwork {
    air: Mutex<Air>,
    /// Each forwarded proposal gets another number, so that the receiver cannot tell a retry from a
    /// new one.
    renumbers: bool,
    /// The protocol version of greetings.
    version: PeerVersion,
}

struct Air {
    nodes: BTreeMap<NodeId, Arc<Node>>,
    /// Directed ways (from, to) on which nothing arrives.
    blocked: BTreeSet<(NodeId, NodeId)>,
    weather: Weather,
    cables: Vec<(NodeId, NodeId, watch::Sender<Cable>)>,
    fate: Fate,
}

/// The state of a connection.
#[derive(Default)]
struct Cable {
    /// Frames in flight arrive, and nothing more is sent.
    broken: bool,
    /// Nothing arrives at these nodes, because they have stopped.
    gone: Vec<NodeId>,
}

impl SimulatedNetwork {
    pub(crate) fn new(fate: Fate, renumbers: bool, version: PeerVersion) -> Arc<Self> {
        let air =
            Air { nodes: BTreeMap::new(), blocked: BTreeSet::new(), weather: CALM, cables: Vec::new(), fate };
        Arc::new(Self { air: Mutex::new(air), renumbers, version })
    }

    /// The dialler of node `from`.
    pub(crate) fn dial_of(self: &Arc<Self>, from: NodeId) -> Dial {
        let network = self.clone();
        Dial::Simulated(Arc::new(move |to| Box::pin(network.clone().connect(from, to))))
    }

    /// Registers a listening node.
    pub(crate) fn enter(&self, node: Arc<Node>) {
        self.lock().nodes.insert(node.id, node);
    }

    /// Removes a node with all its connections.
    pub(crate) fn leave(&self, id: NodeId) {
        let mut air = self.lock();
        air.nodes.remove(&id);
        for (one, other, cable) in &air.cables {
            if [*one, *other].contains(&id) {
                cable.send_modify(|cable| {
                    cable.broken = true;
                    cable.gone.push(id);
                });
            }
        }
        air.cables.retain(|(_, _, cable)| !cable.is_closed());
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// Blocks these ways (from, to), and unblocks all others.
    pub(crate) fn block(&self, ways: impl IntoIterator<Item = (NodeId, NodeId)>) {
        self.lock().blocked = ways.into_iter().collect();
    }

    fn lock(&self) -> MutexGuard<'_, Air> {
        self.air.lock().unwrap()
    }

    async fn opens(&self, way: (NodeId, NodeId)) {
        while self.lock().blocked.contains(&way) {
            sleep(LOOK_AGAIN).await;
        }
    }

    fn delay(&self) -> Duration {
        let mut air = self.lock();
        let (least, most) = air.weather.delay_ms;
        Duration::from_millis(air.fate.between(least, most))
    }

    async fn connect(self: Arc<Self>, from: NodeId, to: NodeId) -> io::Result<Connection> {
        for way in [(from, to), (to, from)] {
            sleep(self.delay()).await;
            self.opens(way).await;
        }
        let (cable, state) = watch::channel(Cable::default());
        let node = {
            let mut air = self.lock();
            if !air.nodes.contains_key(&from) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            air.cables.push((from, to, cable.clone()));
            air.nodes.get(&to).cloned().ok_or(io::ErrorKind::ConnectionRefused)?
        };
        let ((near_out, up_in), (up_out, far_in)) = (duplex(PIPE_BYTES), duplex(PIPE_BYTES));
        let ((far_out, down_in), (down_out, near_in)) = (duplex(PIPE_BYTES), duplex(PIPE_BYTES));
        let channel = PeerChannel { version: self.version, binding: [0; 32], peer_key: None };
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let far = join(far_in, far_out);
        let dialled = (address, node.server.fence.recall());
        tokio::spawn(server::welcome(far, from, channel, dialled, node.server.clone()));
        tokio::spawn(self.clone().carry((from, to), up_in, up_out, cable.clone(), state.clone()));
        tokio::spawn(self.carry((to, from), down_in, down_out, cable, state));
        Ok((Box::new(join(near_in, near_out)), channel))
    }

    /// Carries frames one way until the connection breaks.
    async fn carry(
        self: Arc<Self>,
        way: (NodeId, NodeId),
        mut sent: DuplexStream,
        arrives: DuplexStream,
        cable: watch::Sender<Cable>,
        mut state: watch::Receiver<Cable>,
    ) {
        let (queue, under_way) = mpsc::unbounded_channel();
        tokio::spawn(self.clone().deliver(way, under_way, arrives, state.clone()));
        loop {
            let frame = tokio::select! {
                biased;
                _ = state.wait_for(|cable| cable.broken) => return,
                frame = frame::read(&mut sent) => frame,
            };
            let Ok(Some(frame)) = frame else { break };
            let (frame, copy) = self.meddle(frame);
            let (lost, last) = {
                let air = &mut *self.lock();
                (air.fate.happens(air.weather.lost_per_mille), air.fate.happens(air.weather.last_per_mille))
            };
            if !lost {
                let _ = queue.send((Instant::now() + self.delay(), frame));
            }
            if lost || last {
                break;
            }
            if let Some((later, copy)) = copy {
                let queue = queue.clone();
                tokio::spawn(async move {
                    sleep(later).await;
                    let _ = queue.send((Instant::now(), copy));
                });
            }
        }
        cable.send_modify(|cable| cable.broken = true);
    }

    async fn deliver(
        self: Arc<Self>,
        way: (NodeId, NodeId),
        mut under_way: mpsc::UnboundedReceiver<(Instant, Frame)>,
        mut arrives: DuplexStream,
        mut state: watch::Receiver<Cable>,
    ) {
        let gone = async {
            // A connection that its node has dropped is not closed: frames in flight on it arrive.
            if state.wait_for(|cable| cable.gone.contains(&way.1)).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let delivery = async {
            while let Some((at, frame)) = under_way.recv().await {
                sleep_until(at).await;
                self.opens(way).await;
                if frame::write(&mut arrives, &frame).await.is_err() || arrives.flush().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = gone => {}
            () = delivery => {}
        }
    }

    /// The frame to deliver, and perhaps a copy that arrives later.
    fn meddle(&self, frame: Frame) -> (Frame, Option<(Duration, Frame)>) {
        let Ok(Request::Propose(bytes)) = codec::decode::<Request>(Kind::Frame, &frame.body) else {
            return (frame, None);
        };
        let air = &mut *self.lock();
        // The answer to a copy is discarded.
        let copy = air.fate.happens(air.weather.copied_per_mille).then(|| {
            let copy = Frame { id: frame.id | (1 << 63), body: frame.body.clone() };
            (Duration::from_millis(air.fate.between(1, 1000)), copy)
        });
        if !self.renumbers {
            return (frame, copy);
        }
        let mut proposal: Proposal = codec::decode(Kind::Entry, &bytes).unwrap();
        (proposal.client, proposal.serial, proposal.floor) = (air.fate.number(), 1, 1);
        let request = Request::Propose(codec::encode(Kind::Entry, &proposal).unwrap().into());
        (Frame { id: frame.id, body: codec::encode(Kind::Frame, &request).unwrap().into() }, copy)
    }
}
