//! The `keymoot` program: parse, dispatch.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
