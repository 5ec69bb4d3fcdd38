//! Keymoot's tests and measurements with real processes.
