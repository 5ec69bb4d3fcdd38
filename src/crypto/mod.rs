//! (room crypto)
