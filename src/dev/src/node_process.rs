//! A node as a child process, and the short-lived children that set up the cluster.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::directory::failed;
use super::materials::NodeMaterials;
use keymoot_command::ENV_PREFIX;
use keymoot_command::Failure;

/// How many lines of a node's log are shown when it does not start.
const LOG_LINES: usize = 8;
/// The time limit for a set-up command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// The keys that differ from node to node; set in the environment they would apply to every node.
const OWN_KEYS: [&str; 14] = [
    "ADMIN__LISTEN",
    "ADMIN__CREDENTIAL_FILE",
    "CLUSTER__FOUNDING_CA_KEY_FILE",
    "NODE__ID",
    "NODE__DATA_DIR",
    "CLUSTER__NAME",
    "CLUSTER__PEER_LISTEN",
    "CLUSTER__PEER_ADVERTISE",
    "CLUSTER__CA_FILE",
    "CLUSTER__CERT_FILE",
    "CLUSTER__KEY_FILE",
    "HTTP__LISTEN",
    "HTTP__TLS_CERT_FILE",
    "HTTP__TLS_KEY_FILE",
];

/// Starts a node. It ends with this process, and a Ctrl-C at the terminal does not reach it: this
/// process forwards the stop request.
pub(super) fn start(node: &NodeMaterials) -> Result<Child, Failure> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(&node.log_file)
        .map_err(|e| failed("open", &node.log_file, &e))?;
    let errors = log.try_clone().map_err(|e| failed("open", &node.log_file, &e))?;
    let parent = std::process::id().to_string();
    let mut command = keymoot()?;
    command
        .args(["serve", "--die-with-parent", &parent, "--config"])
        .arg(&node.config_file)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    command.spawn().map_err(|error| Failure::because(format!("cannot start node {}: {error}", node.id)))
}

/// Runs a command of this program and waits for its end.
pub(super) async fn run_command<A: AsRef<OsStr>>(arguments: &[A]) -> Result<(), Failure> {
    let mut command = keymoot()?;
    command.args(arguments).stdin(Stdio::null());
    let output = tokio::time::timeout(COMMAND_TIMEOUT, command.output())
        .await
        .map_err(|_| Failure::because("a set-up command did not end in time"))?
        .map_err(Failure::runtime)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::because(said.trim().trim_start_matches("keymoot: ").to_owned()))
}

fn keymoot() -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(Failure::runtime)?;
    let mut command = Command::new(program);
    for key in OWN_KEYS {
        command.env_remove(format!("{ENV_PREFIX}{key}"));
    }
    command.process_group(0).kill_on_drop(true);
    Ok(command)
}

/// Asks a child to stop; does nothing if it has ended already.
pub(super) fn ask_to_stop(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // The child is not reaped yet, so its process id cannot be reused; a failure means that it
        // has ended.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// How a process ended, in words.
pub(super) fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// The last lines of the log of a node that does not start.
pub(super) fn log_tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(LOG_LINES);
    lines.iter().skip(skipped).map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn an_ending_says_code_or_signal() {
        assert_eq!(ending(ExitStatus::from_raw(9)), "signal 9");
        assert_eq!(ending(ExitStatus::from_raw(64 << 8)), "code 64");
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let tail = log_tail(&path);
        assert!(tail.starts_with("\n  line 13\n") && tail.ends_with("line 20"), "{tail}");
        assert_eq!(log_tail(Path::new("/nowhere")), "");
    }

    #[test]
    fn variables_that_would_hit_every_node_are_keys_that_exist() {
        for key in OWN_KEYS {
            let name = key.to_lowercase().replace("__", ".");
            let settings = keymoot::config::Loaded::from_sources(None, []).unwrap().settings();
            assert!(settings.iter().any(|setting| setting.key == name), "{name}");
        }
    }
}
