//! A panic ends the process: a node whose state is in doubt must not go on answering.

use std::panic::PanicHookInfo;

/// Makes every panic, on any thread, one log line and then an abort. A supervisor such as
/// systemd starts the node again, which recovers from its log; nothing acknowledged is lost.
pub(crate) fn abort_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        tracing::error!(
            location = %location(info),
            thread = std::thread::current().name().unwrap_or("unnamed"),
            "panic: {}; aborting",
            message(info),
        );
        std::process::abort();
    }));
}

fn location(info: &PanicHookInfo<'_>) -> String {
    info.location().map(ToString::to_string).unwrap_or_else(|| "unknown".to_owned())
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    info.payload_as_str().unwrap_or("a panic without a message")
}
