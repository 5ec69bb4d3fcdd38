//! The policy API's client side, written from the API's documentation.
//!
//! Shares no code with Keymoot.

use std::net::SocketAddr;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::raw::{self, Answer};
use crate::{Cluster, RigError, Signer, binary, license, secret_file};

/// An account with a signer for each scope.
pub struct Account {
    /// The signer for keys.
    pub scrambler: Signer,
    /// The signer for licenses.
    pub player: Signer,
    /// The signer for policies.
    pub keeper: Signer,
}

/// Adds an account with a credential for each scope, and `more` arguments.
///
/// # Errors
/// When the command fails.
pub fn add_account(cluster: &Cluster, name: &str, more: &[&str]) -> Result<Account, RigError> {
    let key = format!("policy key of {name}");
    let file = cluster.dir().join(format!("{name}-policy.key"));
    secret_file::write(&file, &key)?;
    let file = file.display().to_string();
    let arguments: Vec<&str> = ["--policy-key-file", &file].into_iter().chain(more.iter().copied()).collect();
    let (scrambler, player) = license::add_account(cluster, name, &arguments)?;
    let keeper = scrambler.with_key(&key);
    Ok(Account { scrambler, player, keeper })
}

/// Sends a request about policies with these members beside account, `ca_system` and method, and these
/// headers. A change of a policy says which version it replaces: the one of `If-Match`, or else the current one.
///
/// # Errors
/// As for [`raw::exchange`].
pub fn send(
    node: SocketAddr,
    signer: &Signer,
    (method, path): (&str, &str),
    members: &Value,
    headers: &[(&str, &str)],
) -> Result<Answer, RigError> {
    let mut more = members.as_object().cloned().unwrap_or_default();
    if ["GET", "POST", "PUT", "DELETE"].contains(&method) {
        more.entry("method").or_insert(json!(method));
    }
    if ["PUT", "DELETE"].contains(&method) && path.split('/').count() == 3 && !more.contains_key("replaces") {
        let version = headers.iter().find_map(|(name, tag)| (*name == "If-Match").then(|| version(tag))?);
        let version = match version {
            Some(version) => version,
            None => current(node, signer, path)?,
        };
        more.insert("replaces".into(), json!(version));
    }
    send_as_it_is(node, signer, (method, path), &Value::Object(more), headers)
}

/// The version that a tag names.
fn version(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// The version of a policy; 0 when there is none.
fn current(node: SocketAddr, signer: &Signer, path: &str) -> Result<u64, RigError> {
    let answer = send_as_it_is(node, signer, ("GET", path), &json!({ "method": "GET" }), &[])?;
    Ok(answer.header("etag").and_then(version).unwrap_or_default())
}

/// Sends a request about policies with these members beside account and `ca_system`, and no others.
///
/// # Errors
/// As for [`raw::exchange`].
pub fn send_as_it_is(
    node: SocketAddr,
    signer: &Signer,
    (method, path): (&str, &str),
    members: &Value,
    headers: &[(&str, &str)],
) -> Result<Answer, RigError> {
    let mut data = Map::new();
    data.insert("ca_system".into(), json!(signer.ca_system));
    data.insert("account_id".into(), json!(signer.account_id));
    data.extend(members.as_object().cloned().unwrap_or_default());
    let data = Value::Object(data).to_string().into_bytes();
    let signature = raw::percent_encode(&signer.signature(&data));
    let request = if method == "GET" {
        let text = raw::percent_encode(&STANDARD.encode(&data));
        raw::request(method, &format!("{path}?custom_data={text}&signature={signature}"), headers, &[])
    } else {
        raw::request(method, &format!("{path}?signature={signature}"), headers, &data)
    };
    raw::exchange(node, &request, raw::ANSWER_WITHIN)
}

/// Runs `keymoot policy` with these arguments and the configuration of a node.
///
/// # Errors
/// When the command cannot be run.
pub fn command(cluster: &Cluster, arguments: &[&str]) -> Result<Output, RigError> {
    let node = cluster.node(cluster.leader()?)?;
    let mut command = Command::new(binary::keymoot()?);
    command.arg("policy").args(arguments).arg("--config").arg(node.config());
    command.output().map_err(RigError::io("cannot run keymoot policy"))
}
