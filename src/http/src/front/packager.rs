//! Packagers on the fly, which cannot sign: `GET
//! /system/{ca}/{word}/p/{pid}/sp/{sp}/entryId/{eid}/flavorId/{fid}/…` answers with the entry's key, made now
//! if it has none.
//!
//! They have a listener of their own with this one route, off unless it is configured: nothing here can be
//! reached on the API's address, and nothing of the API here. Who may ask is decided by the connection's own
//! address, first by the listener's allow-list and then by the account's, and where the listener has an
//! authority for them, by its certificate, which must be one of the account's; the headers, which a packager
//! passes on from its viewers, decide nothing. Flavours of an entry share its key, so what follows the entry
//! id is not read but for its first word, which tells a parameter from the rest of a name with slashes.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;

use keymoot_auth::{AuthHandle, Request, Unproved, allowed};
use keymoot_drm::{EncryptionProvider, fairplay};
use keymoot_model::{AccountId, ContentId, ResponseShape, TrackName};
use keymoot_service::{Ingestion, WantedKeys};

use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::key_answer::{self, AuxiliaryAnswer, KeyAnswer};
use crate::answer::system_data;
use crate::api::Api;
use crate::listener::connection::Connection;
use crate::listener::settings::{HttpSettings, PackagerAccount, PackagerPrefix, PackagerSystems};
use crate::request::authentication;
use crate::request::caller::peer;
use crate::request::own_url::known_name;
use crate::request::proofs;

/// What the packagers' listener knows of its callers.
pub(crate) struct PackagerContext {
    /// None: any address, because each must show a certificate.
    allow_list: Option<Arc<[IpNet]>>,
    /// Whether an address alone is enough.
    unproved: Unproved,
    accounts: Arc<[PackagerAccount]>,
    /// What stands before the paths.
    prefix: PackagerPrefix,
    /// Whose answers name which systems.
    systems: Arc<[PackagerSystems]>,
    /// By which scheme and at which port the API is asked on this machine.
    api: (&'static str, SocketAddr),
}

impl PackagerContext {
    /// As it is configured.
    pub(crate) fn new(config: &HttpSettings) -> Self {
        let packager = &config.packager;
        let certified = packager.tls_client_ca_file.is_some();
        let any_address = certified && packager.allow_list.is_empty();
        Self {
            allow_list: (!any_address).then(|| packager.allow_list.as_slice().into()),
            unproved: if certified { Unproved::Refused } else { Unproved::ByListener },
            accounts: packager.accounts.as_slice().into(),
            prefix: packager.prefix.clone(),
            systems: packager.systems.as_slice().into(),
            api: (api_scheme(config), config.http.listen),
        }
    }

    /// What stands before the packagers' paths.
    pub(crate) fn prefix(&self) -> &[String] {
        self.prefix.segments()
    }

    /// Refuses whoever connects from elsewhere, whatever they ask for.
    pub(crate) fn must_allow(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let caller = peer(request)?;
        match &self.allow_list {
            Some(networks) if !allowed(caller, networks) => {
                Err(ApiError::unauthorized(format!("{caller} is not on packager.allow_list")))
            }
            _ => Ok(()),
        }
    }

    /// Where the API is, for accounts without a license URL of their own. What a packager's request says of
    /// hosts is its viewers' word, and decides nothing.
    fn license_base(&self, request: &HttpRequest, api: &Api) -> String {
        if let Some(url) = &api.license_url {
            return url.as_str().to_owned();
        }
        let (scheme, listen) = self.api;
        // Of the API's addresses the one that this packager reaches the machine by.
        let local = Connection::of(request).filter(|_| listen.ip().is_unspecified());
        let ip = local.map_or(listen.ip(), |connection| connection.local.ip().to_canonical());
        format!("{scheme}://{}", known_name(scheme, SocketAddr::new(ip, listen.port()), api))
    }

    fn account_of(&self, pid: &str) -> Result<AccountId, ApiError> {
        let entry = self.accounts.iter().find(|entry| entry.pid == pid);
        let entry = entry
            .ok_or_else(|| ApiError::unauthorized(format!("partner {pid:?} is not in packager.accounts")))?;
        Ok(entry.account.clone())
    }
}

/// What packagers put behind the id of an entry: the names of its parameters.
const PARAMETERS: [&str; 22] = [
    "a",
    "clipFrom",
    "clipTo",
    "ev",
    "fileName",
    "flavorId",
    "flavorIds",
    "flavorParamId",
    "flavorParamIds",
    "format",
    "maxBitrate",
    "name",
    "pathOnly",
    "playSessionId",
    "protocol",
    "referrer",
    "seekFrom",
    "streamType",
    "tags",
    "uiConfId",
    "v",
    "version",
];

/// Answers with the key of the entry that a path names by `segments`: CA system, word, partner, sub-partner if there
/// is one, and entry. `next` stands behind them.
pub(crate) async fn entry_key(
    (segments, next): (&[&str], Option<&str>),
    request: &HttpRequest,
    context: &PackagerContext,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let ([ca_system, word, pid, _, entry] | [ca_system, word, pid, entry]) = *segments else {
        return Err(ApiError::internal("a packager's route has four or five segments of the caller's"));
    };
    must_be_one_segment(entry, next)?;
    let content = ContentId::new(entry)
        .map_err(|error| ApiError::new(ErrorKind::Invalid, format!("entryId: {error}")))?;
    let unsigned = Request::unsigned(context.account_of(pid)?, peer(request)?, context.unproved)
        .of_ca_system(ca_system)?
        .with_proofs(proofs::of_connection(request))
        .for_content(Some(content.clone()));
    let grant = authentication::verify(request, unsigned, api, auth).await??;
    let (content, track) = (&content, &TrackName::default_track());
    let wanted = Ingestion::of(content, WantedKeys::created(track));
    let served = api.keys.ingest(&grant, wanted).await?.into_key()?;
    let (account, provider) = (grant.account(), EncryptionProvider::Cenc);
    let scheme = provider.scheme(None)?;
    let mut systems = system_data::of_key((provider, scheme), api, account, (content, track), &served)?;
    if let Some(chosen) = PackagerSystems::choose(&context.systems, word, &account.id) {
        systems.retain(|data| chosen.iter().any(|system| system.id() == data.uuid));
    }
    key_answer::key(&KeyAnswer {
        provider,
        account,
        // What an account prefers is for the clients that sign; packagers on the fly know arrays only.
        shape: ResponseShape::Array,
        // A packager of FairPlay HLS that is told none takes the segment's number, which no license has.
        iv: Some(served.iv.unwrap_or_else(|| fairplay::constant_iv(&served.kid))),
        content,
        served: &served,
        systems: &systems,
        license_base: &context.license_base(request, api),
        auxiliary: AuxiliaryAnswer::NotAsked,
    })
}

/// A name with slashes would be read as its first part, and all contents of a folder would share one key.
fn must_be_one_segment(entry: &str, next: Option<&str>) -> Result<(), ApiError> {
    let Some(next) = next else { return Ok(()) };
    if PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(next)) {
        return Ok(());
    }
    let message = format!(
        "{next:?} behind entryId/{entry} is no parameter of a packager's path such as flavorId or name; an entry's name \
         holds no slash here, because every name in {entry} would get one key: give it a name without, such as its id"
    );
    Err(ApiError::new(ErrorKind::Invalid, message))
}

fn api_scheme(config: &HttpSettings) -> &'static str {
    if config.http.tls_cert_file.is_some() { "https" } else { "http" }
}
