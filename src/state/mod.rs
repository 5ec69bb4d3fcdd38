//! (room state)
