//! Headless Chromium, driven by the W3C WebDriver protocol.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{RigError, process, raw};

/// The time limit for the browser's start, and for one command.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// The member that identifies an element in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running browser. It ends when this value is dropped.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with a fresh profile.
    ///
    /// # Errors
    /// When Chromium or its driver is missing or does not start.
    pub fn start() -> Result<Self, RigError> {
        let profile =
            TempDir::with_prefix("keymoot-browser-").map_err(RigError::io("cannot make a directory"))?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                RigError::Program(format!("cannot run chromedriver ({error}): run scripts/real-clients"))
            })?;
        let port = match port_of(&mut driver) {
            Ok(port) => port,
            Err(error) => {
                process::end(&mut driver, Duration::from_secs(1));
                return Err(error);
            }
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };
        let capabilities = json!({"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {
            "binary": "/usr/bin/chromium", "args": browser.arguments(),
        }}});
        let made = browser.command("POST", "/session", &json!({"capabilities": capabilities}))?;
        made.get("sessionId").and_then(Value::as_str).unwrap_or_default().clone_into(&mut browser.session);
        Ok(browser)
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--autoplay-policy=no-user-gesture-required",
            "--force-device-scale-factor=1",
            "--force-color-profile=srgb",
            "--window-size=800,600",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--user-data-dir={}", self._profile.path().display()));
        if rustix::process::geteuid().is_root() {
            // Chromium's sandbox refuses to run as root.
            arguments.push("--no-sandbox".to_owned());
        }
        arguments
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    /// When the browser cannot open it.
    pub fn open(&self, url: &str) -> Result<(), RigError> {
        self.in_session("POST", "/url", &json!({"url": url})).map(drop)
    }

    /// Runs the body of a function in the page and returns its result.
    ///
    /// # Errors
    /// When it throws.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Result<Value, RigError> {
        self.in_session("POST", "/execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// A picture of one element, as PNG.
    ///
    /// # Errors
    /// When the page has no such element.
    pub fn picture(&self, css: &str) -> Result<Vec<u8>, RigError> {
        let found = self.in_session("POST", "/element", &json!({"using": "css selector", "value": css}))?;
        let element = found.get(ELEMENT).and_then(Value::as_str).unwrap_or_default().to_owned();
        let picture = self.in_session("GET", &format!("/element/{element}/screenshot"), &Value::Null)?;
        let text = picture.as_str().unwrap_or_default();
        STANDARD.decode(text).map_err(|_| RigError::Answer("the picture is not base64".to_owned()))
    }

    fn in_session(&self, method: &str, path: &str, body: &Value) -> Result<Value, RigError> {
        self.command(method, &format!("/session/{}{path}", self.session), body)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, RigError> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (address, length) = (self.address, body.len());
        // The driver only accepts requests for a loopback host name.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let answer = raw::exchange(address, request.as_bytes(), COMMAND_WITHIN)?;
        let value: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| RigError::Answer(format!("the browser's driver answers {}", answer.text())))?;
        let value = value.get("value").cloned().unwrap_or_default();
        if answer.status == 200 {
            return Ok(value);
        }
        let said = value.get("message").and_then(Value::as_str).unwrap_or("no word");
        Err(RigError::Answer(format!("the browser refuses {path}: {said}")))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends Chromium, which the driver itself would leave running.
            let _ = self.in_session("DELETE", "", &Value::Null);
        }
        process::end(&mut self.driver, Duration::from_secs(5));
    }
}

/// The port that the driver reports.
fn port_of(driver: &mut Child) -> Result<u16, RigError> {
    let missing = || RigError::Program("chromedriver does not say on which port it is".to_owned());
    let output = driver.stdout.take().ok_or_else(missing)?;
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("started successfully on port")).ok_or_else(missing)?;
    // Its later output is read, because a full pipe would block it.
    std::thread::spawn(move || lines.for_each(drop));
    let port = line.rsplit("port ").next().unwrap_or_default().trim_end_matches('.');
    port.parse().map_err(|_| missing())
}
