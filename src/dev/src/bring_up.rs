//! Turns the started processes into a cluster that answers: each step is retried until it succeeds
//! or a deadline passes.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::demo::SignedRequest;
use super::directory::failed;
use super::materials::Materials;
use super::node_process::run_command;
use super::{DEMO_ACCOUNT, OPERATOR};
use keymoot_command::Failure;
use keymoot_model::Role;

/// The time limit for a cluster to become ready, on a slow machine under load.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for its operator.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Makes a cluster of the nodes, which have been started, and returns once each of them answers.
pub(super) async fn bring_up(materials: &Materials) -> Result<(), Failure> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let ports = materials.nodes.iter().flat_map(|node| [node.api_port, node.peer_port]);
    for port in ports {
        until(deadline, || async move { connects(port).await }).await?;
    }
    let init = init_arguments(materials);
    until(deadline, || run_command(&init)).await?;
    if materials.nodes.iter().all(|node| node.admin_port.is_some()) {
        register_operator(materials).await;
    }
    let add = account_arguments(materials);
    until(deadline, || run_command(&add)).await?;
    let agent = agent(materials)?;
    for node in &materials.nodes {
        let api = materials.api(node);
        until(deadline, || ask(agent.clone(), format!("{api}/healthz"), None)).await?;
        // The check uses a content of its own, so that the one in the printed command is new to the
        // reader.
        let request = SignedRequest::for_content("keymoot-dev-check", &materials.encryption_key);
        let url = format!("{api}{}", request.target);
        until(deadline, || ask(agent.clone(), url.clone(), Some(request.body.clone()))).await?;
    }
    Ok(())
}

/// Makes the cluster know the operator of this directory. One that does not, as an earlier version's, still serves
/// commands that prove the keyring.
async fn register_operator(materials: &Materials) {
    let asked = |arguments: &[&str]| -> Vec<OsString> {
        arguments.iter().map(OsString::from).chain(config_arguments(materials)).collect()
    };
    let whoami = asked(&["operator", "whoami"]);
    if run_command(&whoami).await.is_ok() {
        return;
    }
    let mut add = asked(&["operator", "add", OPERATOR, "--by-keyring"]);
    add.extend(Role::ALL.iter().flat_map(|role| ["--role", role.name()]).map(OsString::from));
    add.extend(["--issued".into(), materials.operator_file.clone().into_os_string()]);
    let acknowledge = asked(&["operator", "acknowledge", OPERATOR]);
    let deadline = Instant::now() + OPERATOR_TIMEOUT;
    let added = until(deadline, || async {
        run_command(&add).await?;
        until(deadline, || run_command(&acknowledge)).await
    });
    if let Err(failure) = added.await {
        eprintln!("the cluster does not know the operator {OPERATOR}: {}", failure.message());
    }
}

/// Repeats a step until it succeeds; after the deadline its last failure is returned.
async fn until<F>(deadline: Instant, mut step: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    loop {
        match step().await {
            Ok(()) => return Ok(()),
            Err(failure) if Instant::now() >= deadline => return Err(failure),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn connects(port: u16) -> Result<(), Failure> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::because(format!("no node listens on port {port}: {error}"))),
    }
}

async fn ask(agent: Agent, url: String, body: Option<String>) -> Result<(), Failure> {
    let answered = tokio::task::spawn_blocking(move || {
        let response = match body {
            Some(body) => agent.post(&url).content_type("application/json").send(body),
            None => agent.get(&url).call(),
        };
        match response {
            Ok(response) if response.status() == 200 => Ok(()),
            Ok(response) => Err(Failure::because(format!("{} answers {}", path_of(&url), response.status()))),
            Err(error) => Err(Failure::because(format!("{} does not answer: {error}", path_of(&url)))),
        }
    });
    answered.await.map_err(Failure::runtime)?
}

/// The URL without its query, which holds a signature.
fn path_of(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

/// A client that trusts the cluster's API.
pub(super) fn agent(materials: &Materials) -> Result<Agent, Failure> {
    let mut config =
        Agent::config_builder().proxy(None).http_status_as_error(false).timeout_global(Some(REQUEST_TIMEOUT));
    if materials.tls {
        config = config.tls_config(trusting(&materials.ca_file)?);
    }
    Ok(config.build().new_agent())
}

fn trusting(ca_file: &Path) -> Result<TlsConfig, Failure> {
    let pem = std::fs::read(ca_file).map_err(|e| failed("read", ca_file, &e))?;
    let ca = Certificate::from_pem(&pem).map_err(Failure::runtime)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[ca]))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn init_arguments(materials: &Materials) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["cluster".into(), "init".into()];
    arguments.extend(config_arguments(materials));
    for node in &materials.nodes {
        arguments.push("--member".into());
        arguments.push(format!("{}=127.0.0.1:{}", node.id, node.peer_port).into());
    }
    arguments
}

fn account_arguments(materials: &Materials) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["account".into(), "add".into(), DEMO_ACCOUNT.into()];
    arguments.extend(config_arguments(materials));
    arguments.extend(["--if-absent", "--ca-system", super::DEMO_CA_SYSTEM].map(OsString::from));
    arguments.extend(["--allow", "127.0.0.0/8", "--allow", "::1/128"].map(OsString::from));
    arguments
        .extend(["--encryption-key-file".into(), materials.encryption_key_file.clone().into_os_string()]);
    arguments.extend(["--license-key-file".into(), materials.license_key_file.clone().into_os_string()]);
    arguments
}

fn config_arguments(materials: &Materials) -> Vec<OsString> {
    let first = materials.nodes.first().map(|node| node.config_file.clone().into_os_string());
    std::iter::once("--config".into()).chain(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_is_repeated_until_it_works_or_time_is_up() {
        let mut tries = 0;
        let step = || {
            tries += 1;
            let result = if tries < 3 { Err(Failure::because("not yet")) } else { Ok(()) };
            async { result }
        };
        assert!(until(Instant::now() + READY_TIMEOUT, step).await.is_ok());
        assert_eq!(tries, 3);
        let never = || async { Err(Failure::because("never")) };
        assert_eq!(until(Instant::now() + PAUSE, never).await.unwrap_err().to_string(), "keymoot: never");
    }

    #[test]
    fn an_error_does_not_repeat_the_signature() {
        assert_eq!(path_of("http://a/encryption?signature=x"), "http://a/encryption");
    }
}
