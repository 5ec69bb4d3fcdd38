//! The properties that both ends of a connection between nodes agree on.

/// The version of the peer protocol that both ends of a connection know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerVersion {
    /// The version that every build knows.
    First,
    /// The first version, plus messages that builds with only the first cannot read.
    Second,
    /// The second, plus what a data directory claims of itself, what its peers remember of it, and reports.
    Third,
    /// The third, plus the listening side's proof of the master key.
    Fourth,
}

/// The result of a TLS handshake between nodes, or with a node that asks to join.
#[derive(Clone, Copy, Debug)]
pub struct PeerChannel {
    /// The version that both ends know.
    pub version: PeerVersion,
    /// Equal at both ends of this connection and different on every other, so that data bound to it cannot be
    /// relayed.
    pub binding: [u8; 32],
    /// SHA-256 of the public key in the other end's certificate; `None` when it showed none.
    pub peer_key: Option<[u8; 32]>,
}
