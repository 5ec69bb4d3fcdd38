//! Finds a node whose state is not that of its cluster.
//!
//! Nodes report digests of their states to each other. After equal entries they are equal, or a node
//! has diverged: by a fault of its machine or of the program. Invariants: a node that is not with the
//! majority of the voters stops for good, by a mark in its data directory; a majority never stops;
//! where no digest has a majority, no write is accepted and no linearizable read is answered on any
//! node until one has, or until an operator removes the nodes that are wrong.
//!
//! The digest that is compared is kept while entries are applied. The scrub recomputes it from the
//! records, and so finds one that changed on the disk by itself.

pub(crate) mod scrub;
pub(crate) mod verdict;
pub(crate) mod watch;
