//! The demo page of a development cluster: a film that this cluster encrypted plays in the reader's
//! own browser, with licenses of the nodes.
//!
//! Page and player are part of the program, so nothing is loaded from elsewhere; the film is made
//! at the first request. The page is served on loopback only, and only while `keymoot dev` runs.

mod film;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::bring_up::agent;
use super::demo::{SignedRequest, license_target};
use super::materials::Materials;
use film::{Film, FilmError};
use keymoot_command::Failure;

/// The content of the film, and its tracks, which have a key each.
const CONTENT: &str = "demo-film";
const TRACKS: [&str; 2] = ["SD", "AUDIO"];
/// The difference between the first node's API port and the page's port, if that one is free.
const PORT_OFFSET: u16 = 500;

const PAGE: &str = include_str!("page.html");

/// A page that is served until this value is dropped.
pub(super) struct DemoPage {
    /// The page's URL.
    pub(super) url: String,
    serving: JoinHandle<()>,
}

/// The data of the page.
struct Demo {
    page: String,
    film: OnceCell<Film>,
    nodes: Vec<String>,
    requests: [SignedRequest; 2],
    agent: ureq::Agent,
    directory: PathBuf,
}

impl DemoPage {
    /// Serves the page for a cluster that answers.
    pub(super) async fn start(materials: &Materials, directory: PathBuf) -> Result<Self, Failure> {
        let nodes: Vec<String> = materials.nodes.iter().map(|node| materials.api(node)).collect();
        let target = license_target(CONTENT, &materials.license_key);
        let licenses: Vec<String> = nodes.iter().map(|api| format!("{api}{target}")).collect();
        let licenses = serde_json::to_string(&licenses).map_err(Failure::runtime)?;
        let demo = Demo {
            page: PAGE.replace("[/* license URLs */]", &licenses),
            film: OnceCell::new(),
            nodes,
            requests: TRACKS.map(|track| SignedRequest::for_track(CONTENT, track, &materials.encryption_key)),
            agent: agent(materials)?,
            directory,
        };
        let wanted = materials.nodes.first().and_then(|node| node.api_port.checked_add(PORT_OFFSET));
        let listener = match TcpListener::bind(("127.0.0.1", wanted.unwrap_or(0))).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind(("127.0.0.1", 0)).await.map_err(Failure::runtime)?,
        };
        let url = format!("http://{}/", listener.local_addr().map_err(Failure::runtime)?);
        let serving = tokio::spawn(server::serve(listener, Arc::new(demo)));
        Ok(Self { url, serving })
    }
}

impl Drop for DemoPage {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Demo {
    /// The film, made at the first call; after a failure the next call tries again.
    async fn film(&self) -> Result<&Film, FilmError> {
        self.film
            .get_or_try_init(|| film::make(&self.nodes, &self.requests, &self.agent, &self.directory))
            .await
    }
}
