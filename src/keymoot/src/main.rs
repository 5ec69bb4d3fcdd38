//! The `keymoot` program: parse, dispatch.

use std::process::ExitCode;

/// A server of small answers allocates and frees all the time, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keymoot::cli::run(std::env::args_os())
}
