//! A real Prometheus that scrapes a cluster, with the shipped alert rules.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::wait::wait_until;
use crate::{RigError, ports, process, raw};

/// How often nodes are scraped.
pub const SCRAPE_EVERY: Duration = Duration::from_secs(1);
const START_WITHIN: Duration = Duration::from_secs(30);

/// A running Prometheus; it ends when this value is dropped.
pub struct Prometheus {
    address: SocketAddr,
    child: Child,
    /// The directory of its data.
    _dir: TempDir,
}

impl Prometheus {
    /// Scrapes `nodes` as the job `keymoot`, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed (`scripts/test` installs it) or does not become ready.
    pub fn start(nodes: &[SocketAddr]) -> Result<Self, RigError> {
        let dir =
            TempDir::with_prefix("keymoot-prometheus-").map_err(RigError::io("cannot make a directory"))?;
        let config = dir.path().join("prometheus.yml");
        std::fs::write(&config, text(nodes)).map_err(RigError::at("write", &config))?;
        let [address] = ports::free()?;
        let log = dir.path().join("log");
        let log = File::create(&log).map_err(RigError::at("make", &log))?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(RigError::io("cannot start prometheus; scripts/test installs it"))?;
        let started = Self { address, child, _dir: dir };
        wait_until("prometheus to be ready", START_WITHIN, || match started.get("/-/ready")?.status {
            200 => Ok(()),
            status => Err(RigError::Answer(format!("/-/ready answered {status}"))),
        })?;
        Ok(started)
    }

    /// The series that an expression yields now.
    ///
    /// # Errors
    /// When Prometheus does not accept it.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, RigError> {
        let answer = self.get(&format!("/api/v1/query?query={}", raw::percent_encode(expression)))?;
        let body: Value =
            serde_json::from_slice(&answer.body).map_err(|error| RigError::Answer(error.to_string()))?;
        match body["data"]["result"].as_array() {
            Some(series) if body["status"] == "success" => Ok(series.clone()),
            _ => Err(RigError::Answer(format!("{expression}: {}", body["error"]))),
        }
    }

    /// The names and states of the alerts of its rules.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn alerts(&self) -> Result<Vec<(String, String)>, RigError> {
        let answer = self.get("/api/v1/alerts")?;
        let body: Value =
            serde_json::from_slice(&answer.body).map_err(|error| RigError::Answer(error.to_string()))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let alerts = body["data"]["alerts"].as_array().cloned().unwrap_or_default();
        Ok(alerts.iter().map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["state"]))).collect())
    }

    fn get(&self, path: &str) -> Result<raw::Answer, RigError> {
        let headers = [("Connection", "close")];
        raw::exchange_streamed(
            self.address,
            &raw::request("GET", path, &headers, &[]),
            Duration::from_secs(5),
        )
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(5));
    }
}

/// The path of a shipped file in `config`.
pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

fn text(nodes: &[SocketAddr]) -> String {
    let targets: Vec<String> = nodes.iter().map(|node| format!("\"{node}\"")).collect();
    format!(
        "global:\n  scrape_interval: {every}s\n  evaluation_interval: {every}s\n\
         rule_files: [\"{rules}\"]\n\
         scrape_configs:\n  - job_name: keymoot\n    static_configs:\n      - targets: [{targets}]\n        \
         labels: {{ cluster: rig }}\n",
        every = SCRAPE_EVERY.as_secs(),
        rules = shipped("alerts.yml").display(),
        targets = targets.join(", "),
    )
}
