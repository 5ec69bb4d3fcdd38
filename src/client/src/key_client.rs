//! The client: fetching, creating, rotating and deleting keys.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::answer::{FetchedKey, read_deleted, read_key};
use super::cache::{Freshness, KeyCache};
use super::clock::Clock;
use super::credentials::Credentials;
use super::error::ClientError;
use super::fail_over::PointState;
use super::fail_over_client::{FailOverClient, Terms};
use super::metrics::{ClientMetrics, Count};
use super::own_key::{KeySource, OwnKey};
use super::request::{Method, Request, Wanted};
use super::server_proof::ServerKey;
use super::service_point::{ServicePoint, ServicePoints};
use super::settings::ClientSettings;
use super::transport::Transport;
use keymoot_drm::{EncryptionProvider, ProtectionScheme};
use keymoot_model::{AccountId, ContentId, Scheme, TrackName};

/// The account whose keys a client requests, and the DRM systems they are for.
#[derive(Clone, Debug)]
pub struct ContentKeys {
    /// The account that owns the contents.
    pub account: AccountId,
    /// The `ca_system` of the requests.
    pub ca_system: String,
    /// The provider whose endpoint is used; it decides which systems' data comes with a key.
    pub provider: EncryptionProvider,
    /// How the media is encrypted; `None` leaves it to what the provider's players know.
    pub scheme: Option<ProtectionScheme>,
}

/// A content, and the track whose key is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContentTrack {
    /// The content.
    pub content: ContentId,
    /// The track.
    pub track: TrackName,
}

impl From<&ContentId> for ContentTrack {
    /// The track that all share who name none.
    fn from(content: &ContentId) -> Self {
        Self { content: content.clone(), track: TrackName::default_track() }
    }
}

impl fmt::Display for ContentTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.track == TrackName::default_track() {
            true => write!(f, "{}", self.content),
            false => write!(f, "{}, track {}", self.content, self.track),
        }
    }
}

/// The state of a service point, for a scrambler's own monitoring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointStatus {
    /// The service point that this is about.
    pub point: ServicePoint,
    /// Its health.
    pub state: PointState,
    /// Whether requests are sent to it first.
    pub current: bool,
    /// The scheme that requests to it use; `None` until its capabilities are known.
    pub scheme: Option<Scheme>,
    /// The key its answers are verified with, where signed answers are demanded.
    pub server_key: Option<ServerKey>,
}

/// Requests content keys from a key server. Share one among all threads of a scrambler: then all
/// learn from one failure, and share one budget of retries.
pub struct KeyClient {
    pub(super) keys: ContentKeys,
    pub(super) settings: ClientSettings,
    pub(super) fail_over_client: FailOverClient,
    cache: Mutex<KeyCache>,
}

impl KeyClient {
    /// A client of these service points, the most preferred first.
    pub fn new(
        points: ServicePoints,
        keys: ContentKeys,
        credentials: Credentials,
        transport: Box<dyn Transport>,
        clock: Box<dyn Clock>,
        settings: ClientSettings,
    ) -> Self {
        let cache = Mutex::new(KeyCache::new(settings.remembered_max, settings.outage_tolerance));
        let fail_over_client = FailOverClient::new(points, credentials, transport, clock, settings);
        Self { keys, settings, fail_over_client, cache }
    }

    /// The content's key. When no service point answers, the cached one, if it is recent enough.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with status 404 when the content has no key.
    pub fn fetch(&self, of: impl Into<ContentTrack>) -> Result<(FetchedKey, Freshness), ClientError> {
        let of = of.into();
        self.obtain(&self.key_request(Method::Get, &of, None)?, &of)
    }

    /// The content's key, made when it has none. The first client to create it decides, so the key
    /// may be another than the one this client made with [`KeySource::Own`]. When no service point
    /// answers, the cached key, as for [`Self::fetch`].
    ///
    /// # Errors
    /// [`ClientError`] when no service point answers or the request is refused.
    pub fn create(
        &self,
        of: impl Into<ContentTrack>,
        source: KeySource,
    ) -> Result<(FetchedKey, Freshness), ClientError> {
        let (of, own) = (of.into(), OwnKey::of(source)?);
        self.obtain(&self.key_request(Method::Post, &of, own.as_ref())?, &of)
    }

    /// A new key for the content, whether it has one or not. Old keys can still be licensed by
    /// their key id.
    ///
    /// With [`KeySource::Own`] the request is safe to repeat, because it names the new key. With
    /// [`KeySource::Server`] it is repeated only when it certainly never arrived.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when the server was to make the key and its answer was lost.
    pub fn rotate(&self, of: impl Into<ContentTrack>, source: KeySource) -> Result<FetchedKey, ClientError> {
        let (of, own) = (of.into(), OwnKey::of(source)?);
        let request = self.key_request(Method::Put, &of, own.as_ref())?;
        let terms = Terms::patient(self.settings.patience, own.is_some());
        let key = self.fail_over_client.carry(&request, terms, |body| {
            let key = read_key(body, &of)?;
            let foreign = own.as_ref().is_some_and(|own| own.kid != key.kid || !own.key.same_as(&key.key));
            if foreign {
                Err("it answered with another key than the one supplied".to_owned())
            } else {
                Ok(key)
            }
        })?;
        self.cache().remember(&key, self.fail_over_client.now());
        Ok(key)
    }

    /// Deletes the content's key with all its versions; returns how many versions those were.
    ///
    /// # Errors
    /// [`ClientError`] when no service point answers or the request is refused.
    pub fn delete(&self, of: impl Into<ContentTrack>) -> Result<u32, ClientError> {
        let of = of.into();
        let request = self.key_request(Method::Delete, &of, None)?;
        let terms = Terms::patient(self.settings.patience, true);
        self.cache().forget(&of);
        self.fail_over_client.carry(&request, terms, read_deleted)
    }

    /// The state of each service point.
    pub fn status(&self) -> Vec<PointStatus> {
        let fail_over = self.fail_over_client.fail_over();
        let status = |(at, point): (usize, &ServicePoint)| PointStatus {
            point: point.clone(),
            state: fail_over.state(at),
            current: fail_over.current() == at,
            scheme: self.fail_over_client.capabilities(at).map(|capabilities| capabilities.choice.scheme),
            server_key: self.fail_over_client.capabilities(at).and_then(|capabilities| capabilities.key),
        };
        self.fail_over_client.points().iter().enumerate().map(status).collect()
    }

    /// The client's counters since it was made.
    pub fn metrics(&self) -> ClientMetrics {
        self.fail_over_client.counters().snapshot()
    }

    /// Probes the failed service points that are due. A [`super::Prober`] does so all the time.
    pub fn probe(&self) {
        self.fail_over_client.probe();
    }

    /// Sends a request that may be answered from the cache during an outage.
    fn obtain(&self, request: &Request, of: &ContentTrack) -> Result<(FetchedKey, Freshness), ClientError> {
        let now = self.fail_over_client.now();
        let remembered = self.cache().recall(of, now);
        let (all_failed, due) = {
            let fail_over = self.fail_over_client.fail_over();
            (fail_over.all_failed(), !fail_over.due(now).is_empty())
        };
        // With a cached key there is no reason to be patient. While all points are down, a live
        // scrambler must not wait for each of them either: one is tried when it is due for a probe,
        // otherwise none.
        let terms = match &remembered {
            None => Terms::patient(self.settings.patience, true),
            Some((key, age)) if all_failed && !due => {
                return Ok(self.remembered(key.copy(), *age));
            }
            Some(_) if all_failed => Terms { points_max: 1, ..Terms::patient(Duration::ZERO, true) },
            Some(_) => Terms::patient(Duration::ZERO, true),
        };
        match self.fail_over_client.carry(request, terms, |body| read_key(body, of)) {
            Ok(key) => {
                self.cache().remember(&key, self.fail_over_client.now());
                Ok((key, Freshness::Answered))
            }
            // An attacker in the key server's place must not be able to take the key away either.
            Err(error @ (ClientError::NoServicePoint { .. } | ClientError::Untrusted { .. })) => {
                let Some((key, age)) = remembered else { return Err(error) };
                tracing::warn!(content = %of, age_s = age.as_secs(), "no service point answers; using the remembered key");
                Ok(self.remembered(key, age))
            }
            Err(error) => {
                if matches!(error, ClientError::Refused { .. }) {
                    self.cache().forget(of);
                }
                Err(error)
            }
        }
    }

    fn remembered(&self, key: FetchedKey, age: Duration) -> (FetchedKey, Freshness) {
        self.fail_over_client.counters().count(Count::Remembered);
        (key, Freshness::Remembered { age })
    }

    /// A request about the one key of a track.
    fn key_request(
        &self,
        method: Method,
        of: &ContentTrack,
        own: Option<&OwnKey>,
    ) -> Result<Request, ClientError> {
        let named = Some(&of.track).filter(|track| **track != TrackName::default_track());
        self.request(method, &of.content, Wanted::Key(named.map(TrackName::to_string)), own)
    }

    pub(super) fn request(
        &self,
        method: Method,
        content: &ContentId,
        wanted: Wanted,
        own: Option<&OwnKey>,
    ) -> Result<Request, ClientError> {
        let whose = (self.keys.ca_system.as_str(), &self.keys.account);
        let media = (self.keys.provider, self.keys.scheme);
        Ok(Request::new(method, media, whose, content, wanted, own)?)
    }

    fn cache(&self) -> MutexGuard<'_, KeyCache> {
        // The entries are complete, even if a thread panicked.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
