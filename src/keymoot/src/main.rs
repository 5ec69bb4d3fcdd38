//! The `keymoot` program: parse, dispatch.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// A server of small answers allocates and frees all the time, on several threads. Whatever is freed is wiped:
/// the buffers of the framework, of TLS and of every decoder have held keys too.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    keymoot::cli::run(std::env::args_os())
}
