//! The `keymoot` program with deliberate weaknesses, of which `KEYMOOT_MUTANT` selects one. It
//! proves that the nemesis detects them, and has no other use.

use std::process::ExitCode;

fn main() -> ExitCode {
    keymoot::cli::run(std::env::args_os())
}
