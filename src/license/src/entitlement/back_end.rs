//! An entitlement back end: its protocol, and the limits of requests to it.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use ureq_proto::http::header::{AUTHORIZATION, HeaderValue};
use zeroize::Zeroizing;

use super::{AnswerFault, Entitled, EntitlementSetupError, NotEntitled, Viewer, ott, ovp, own_json};
use crate::entitlement::{AdapterKind, EntitlementEntry};
use keymoot_crypto::secret_file;
use keymoot_model::AccountId;
use keymoot_outgoing::ServerUrl;
use keymoot_outgoing::{Outgoing, OutgoingRequest};

/// The protocol of a back end.
struct Language {
    label: &'static str,
    request: fn(&Viewer<'_>) -> Result<Zeroizing<Vec<u8>>, serde_json::Error>,
    read: fn(&[u8]) -> Result<Entitled, NotEntitled>,
}

const OWN_JSON: Language = Language { label: "http", request: own_json::request, read: own_json::read };
const OVP: Language = Language { label: "ovp", request: ovp::request, read: ovp::read };
const OTT: Language = Language { label: "ott", request: ott::request, read: ott::read };

/// A back end of one account.
pub(super) struct BackEnd {
    language: Language,
    server: ServerUrl,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    places: Semaphore,
    pub(super) cache_for: Duration,
}

impl BackEnd {
    pub(super) fn new(
        kind: AdapterKind,
        url: &ServerUrl,
        entry: &EntitlementEntry,
    ) -> Result<Self, EntitlementSetupError> {
        let (language, server) = match kind {
            AdapterKind::Ovp => (OVP, url.below(ovp::PATH)),
            AdapterKind::Ott => (OTT, url.clone()),
            AdapterKind::Http | AdapterKind::Static => (OWN_JSON, url.clone()),
        };
        Ok(Self {
            language,
            server,
            authorization: entry.bearer_file.as_ref().map(|file| bearer(&entry.account, file)).transpose()?,
            timeout: Duration::from_millis(entry.timeout_ms),
            places: Semaphore::new(entry.requests_max),
            cache_for: Duration::from_secs(entry.cache_s),
        })
    }

    pub(super) const fn label(&self) -> &'static str {
        self.language.label
    }

    /// Requests a decision once. There is no retry here: the player retries itself, and more
    /// requests do not help a back end that fails under load.
    pub(super) async fn ask(&self, outgoing: &Outgoing, viewer: Viewer<'_>) -> Result<Entitled, NotEntitled> {
        let began = Instant::now();
        let place = tokio::time::timeout(self.timeout, self.places.acquire()).await;
        let _place = place.map_err(|_| NotEntitled::Busy)?.map_err(|_| NotEntitled::Busy)?;
        let body = (self.language.request)(&viewer)
            .map_err(|_| NotEntitled::Unusable(AnswerFault::Form { line: 0, column: 0 }))?;
        let mut request = OutgoingRequest::json(body);
        if let Some(authorization) = &self.authorization {
            request.headers.insert(AUTHORIZATION, authorization.clone());
        }
        let left = self.timeout.saturating_sub(began.elapsed());
        let response = outgoing.post(&self.server, request, left).await.map_err(NotEntitled::Unanswered)?;
        match response.status {
            200 => (self.language.read)(&response.body),
            403 => Err(NotEntitled::Refused),
            status => Err(NotEntitled::Status(status)),
        }
    }
}

fn bearer(account: &AccountId, file: &std::path::Path) -> Result<HeaderValue, EntitlementSetupError> {
    let token = secret_file::read_signing_key(file)
        .map_err(|source| EntitlementSetupError::Bearer { account: account.clone(), source })?;
    let text = || EntitlementSetupError::BearerText { account: account.clone() };
    let visible = !token.expose().is_empty() && token.expose().iter().all(u8::is_ascii_graphic);
    let header = Zeroizing::new([b"Bearer ", token.expose()].concat());
    let mut value = HeaderValue::from_bytes(&header).map_err(|_| text())?;
    value.set_sensitive(true);
    if visible { Ok(value) } else { Err(text()) }
}
