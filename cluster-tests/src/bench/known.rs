//! The data that exist before the measurements: contents, streams and tracks for reads.

use std::net::SocketAddr;

use tokio_rustls::TlsConnector;

use super::http::HttpConnection;
use crate::signed::WIDEVINE;
use crate::speke::{Document, Encryptor, Version};
use crate::{Cluster, KeyAnswer, RigError, Signer, license, raw, wait, widevine};

/// The number of connections that create them.
const CONNECTIONS: usize = 32;
/// The path for keys of crypto periods.
const SCHEDULE: &str = "/cenc/widevine/schedule";
/// The tracks of a film in the Widevine API.
const TRACKS: [&str; 5] = ["SD", "HD", "UHD1", "UHD2", "AUDIO"];

/// A content that has a key.
pub struct Content {
    pub name: String,
    pub kid: [u8; 16],
}

/// Creates the contents for reads.
///
/// # Errors
/// When a node does not answer with a key.
pub fn contents(signer: &Signer, nodes: &[SocketAddr], count: usize) -> Result<Vec<Content>, RigError> {
    let names = names(count);
    let requests = names.iter().map(|name| signer.request("POST", WIDEVINE, &signer.custom_data(name, &[])));
    let answers = send_all(nodes, None, requests.collect())?;
    let content = |(name, answer): (&String, &raw::Answer)| {
        Ok(Content { name: name.clone(), kid: KeyAnswer::from_answer(answer)?.bytes()?.1 })
    };
    names.iter().zip(&answers).map(content).collect()
}

/// Signed GETs of these contents.
pub fn reads(signer: &Signer, contents: &[Content]) -> Vec<Vec<u8>> {
    let read = |content: &Content| signer.request("GET", WIDEVINE, &signer.custom_data(&content.name, &[]));
    contents.iter().map(read).collect()
}

/// The names of `count` contents.
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|serial| format!("known-{serial}.mp4")).collect()
}

/// Requests for three crypto periods of each of `count` live streams, whose rotation has begun.
///
/// # Errors
/// When a node refuses.
pub fn schedules(cluster: &Cluster, count: usize) -> Result<Vec<Vec<u8>>, RigError> {
    let signer = cluster.signer();
    let periods =
        [("crypto_period_seconds", "10"), ("first_crypto_period_index", "6"), ("crypto_period_count", "3")];
    let request = |method: &str, stream: usize| {
        signer.request(method, SCHEDULE, &signer.custom_data(&format!("live-{stream}"), &periods))
    };
    send_all(&cluster.addresses(), None, (0..count).map(|stream| request("POST", stream)).collect())?;
    Ok((0..count).map(|stream| request("GET", stream)).collect())
}

/// A signed request of the Widevine API for five tracks of a content.
///
/// # Errors
/// When it cannot be signed.
pub fn five_tracks(content: &str) -> Result<Vec<u8>, RigError> {
    let inner = widevine::request(content, &TRACKS).to_string();
    let kind = [("Content-Type", "application/json")];
    Ok(raw::request("POST", &widevine::path(widevine::ACCOUNT), &kind, &widevine::signed(inner.as_bytes())?))
}

/// Such requests for contents whose tracks have keys.
///
/// # Errors
/// When a node refuses.
pub fn tracks(cluster: &Cluster, count: usize) -> Result<Vec<Vec<u8>>, RigError> {
    widevine::add_account(cluster)?;
    let requests: Vec<Vec<u8>> =
        names(count).iter().map(|name| five_tracks(name)).collect::<Result<_, _>>()?;
    for answer in send_all(&cluster.addresses(), None, requests.clone())? {
        // Refusals of this API have status 200, too.
        widevine::answer_of(&answer)?.must_have(TRACKS.len())?;
    }
    Ok(requests)
}

/// Requests for licenses of these contents.
pub fn licenses(cluster: &Cluster, contents: &[Content]) -> Vec<Vec<u8>> {
    let player = cluster.license_signer();
    let license = |content: &Content| {
        let challenge = license::clear_key_challenge([&content.kid]);
        license::request(&player, license::CLEAR_KEY, &player.custom_data(&content.name, &[]), &challenge)
    };
    contents.iter().map(license).collect()
}

/// The tracks of a film for an encryptor.
const ENCRYPTED: [&str; 8] =
    ["SD", "HD1", "HD2", "UHD1", "UHD2", "STEREO_AUDIO", "MULTICHANNEL_AUDIO_3_6", "MULTICHANNEL_AUDIO_7"];

/// Documents of eight keys for three systems each, signed now.
pub fn documents(encryptor: &Encryptor, count: usize) -> Vec<Vec<u8>> {
    let request = |name: &String| {
        let document = Document::of_tracks(name, &ENCRYPTED, None).text(Version::Speke2_0);
        encryptor.request(Version::Speke2_0, &document)
    };
    names(count).iter().map(request).collect()
}

/// Sends each request once, spread over the servers, and returns the answers in the same order.
///
/// # Errors
/// When one is refused, or a connection fails.
pub fn send_all(
    servers: &[SocketAddr],
    tls: Option<&TlsConnector>,
    requests: Vec<Vec<u8>>,
) -> Result<Vec<raw::Answer>, RigError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(RigError::io("cannot start an event loop"))?;
    let mut shares: Vec<Vec<(usize, Vec<u8>)>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
    for (index, request) in requests.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(index % CONNECTIONS) {
            share.push((index, request));
        }
    }
    let mut answers = runtime.block_on(async {
        let mut senders = tokio::task::JoinSet::new();
        for (share, server) in shares.into_iter().zip(servers.iter().copied().cycle()) {
            senders.spawn(send_share(server, tls.cloned(), share));
        }
        let mut answers = Vec::new();
        while let Some(sent) = senders.join_next().await {
            answers.extend(sent.map_err(|_| RigError::Program("a sender panicked".to_owned()))??);
        }
        Ok::<_, RigError>(answers)
    })?;
    answers.sort_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

async fn send_share(
    server: SocketAddr,
    tls: Option<TlsConnector>,
    share: Vec<(usize, Vec<u8>)>,
) -> Result<Vec<(usize, raw::Answer)>, RigError> {
    let mut answers = Vec::with_capacity(share.len());
    if share.is_empty() {
        return Ok(answers);
    }
    let mut connection = HttpConnection::open(server, tls.as_ref()).await?;
    for (index, request) in share {
        wait::not_interrupted()?;
        let answer = connection.ask(&request).await?;
        if answer.status != 200 {
            return Err(RigError::Answer(format!("{server} answered {}: {}", answer.status, answer.text())));
        }
        answers.push((index, answer));
    }
    Ok(answers)
}
