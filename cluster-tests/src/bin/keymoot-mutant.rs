//! The `keymoot` program, built with the weaknesses that `KEYMOOT_MUTANT` chooses among. It proves
//! that the nemesis would notice them, and is good for nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    keymoot::cli::run(std::env::args_os())
}
