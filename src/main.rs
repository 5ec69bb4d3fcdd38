//! The `keymoot` program: parse, dispatch.

use std::process::ExitCode;

fn main() -> ExitCode {
    keymoot::cli::run(std::env::args_os())
}
