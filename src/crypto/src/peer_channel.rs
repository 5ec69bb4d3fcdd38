//! What two ends of a connection between nodes agree on.

/// Which peer protocol both ends of a connection know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerVersion {
    /// What every build knows.
    First,
    /// The first, and messages that a build which knows the first alone could not read.
    Second,
}

/// What TLS agreed on for one connection between nodes, or with one that wants in.
#[derive(Clone, Copy, Debug)]
pub struct PeerChannel {
    /// The version that both ends know.
    pub version: PeerVersion,
    /// The same at both ends of this connection, and on no other: what is bound to it cannot be relayed.
    pub binding: [u8; 32],
}
