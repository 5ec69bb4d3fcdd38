//! The listener for packagers on the fly, which cannot sign (off unless it is configured).
//!
//! `GET /system/{ca}/edash/p/{pid}/sp/{sp}/entryId/{eid}/flavorId/{fid}/…` answers with the entry's
//! key, made now if it has none. It is a listener of its own with this one route: nothing here can
//! be reached on the API's address, and nothing of the API here. Who may ask is decided by the
//! connection's own address, first by the listener's allow-list and then by the account's, and where
//! the listener has an authority for them, by its certificate, which must be one of the account's; the
//! headers, which a packager passes on from its viewers, decide nothing. Flavours of an entry share
//! its key, so what follows the entry id is not read.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::Server;
use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, web};
use ipnet::IpNet;

use crate::listener::settings::HttpSettings;
use crate::listener::settings::PackagerAccount;
use keymoot_auth::{Authenticator, ClientCertificate, Unproved, UnsignedRequest, allowed};
use keymoot_drm::EncryptionProvider;
use keymoot_model::{AccountId, ContentId, ResponseShape, TrackName};
use keymoot_telemetry::WritesGrants;

use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::key_answer::{self, AuxiliaryAnswer, KeyAnswer};
use crate::answer::system_data;
use crate::api::Api;
use crate::listener::bind::{Listener, TlsOf};
use crate::listener::server::HttpError;
use crate::request::authentication;
use crate::request::path::RequestPath;
use crate::request::proofs;

/// The name of the route and of the listener in metrics.
const ROUTE: &str = "packager";

/// What the handler uses.
struct Door {
    api: Api,
    authenticator: Authenticator,
    /// None: any address, because each must show a certificate.
    allow_list: Option<Arc<[IpNet]>>,
    /// Whether an address alone is enough.
    unproved: Unproved,
    accounts: Arc<[PackagerAccount]>,
    /// Where the API is, for accounts without a license URL of their own.
    api_url: String,
}

/// Binds the packagers' address, if one is configured, and makes the server; it serves when awaited.
/// `connections_max` are held open at once.
///
/// # Errors
/// [`HttpError`]; then nothing listens.
pub fn listen_for_packagers(
    config: &HttpSettings,
    connections_max: usize,
    api: Api,
) -> Result<Option<(Server, Vec<SocketAddr>)>, HttpError> {
    let Some(address) = config.packager.listen else { return Ok(None) };
    let packager = &config.packager;
    let certified = packager.tls_client_ca_file.is_some();
    let listener = Listener {
        config,
        metrics: api.metrics.clone(),
        name: ROUTE,
        address,
        workers: 1,
        connections_per_worker_max: connections_max,
        tls: TlsOf {
            cert: &packager.tls_cert_file,
            key: &packager.tls_key_file,
            client_ca: &packager.tls_client_ca_file,
            client_required: certified,
        },
    };
    let any_address = certified && packager.allow_list.is_empty();
    let door = Data::new(Door {
        authenticator: Authenticator::new(api.accounts.clone()),
        api,
        allow_list: (!any_address).then(|| packager.allow_list.as_slice().into()),
        unproved: if certified { Unproved::Refused } else { Unproved::ByListener },
        accounts: packager.accounts.as_slice().into(),
        api_url: api_url(config),
    });
    let serve = move |app: &mut web::ServiceConfig| {
        app.app_data(door.clone()).default_service(web::to(dispatch));
    };
    listener.serve(serve).map(Some)
}

async fn dispatch(request: HttpRequest, door: Data<Door>) -> HttpResponse {
    let began = Instant::now();
    // Counted with the requests of the API: a node that stops waits for both.
    let _answering = door.api.drain.enter(&request);
    let _writes_grants = WritesGrants;
    let answer = serve(&request, &door).await;
    if let Some(reason) = answer.as_ref().err().and_then(ApiError::refusal) {
        door.api.metrics.auth_refusals_total.with_label_values(&[reason]).inc();
    }
    let mut response = answer.unwrap_or_else(HttpResponse::from_error);
    // Such packagers open a connection for each request and wait for its end.
    response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    let metrics = &door.api.metrics;
    let status = response.status();
    let labels = [ROUTE, request.method().as_str(), status.as_str()];
    metrics.http_requests_total.with_label_values(&labels).inc();
    metrics.http_request_seconds.with_label_values(&[ROUTE]).observe(began.elapsed().as_secs_f64());
    response
}

async fn serve(request: &HttpRequest, door: &Door) -> Result<HttpResponse, ApiError> {
    let peer = request.peer_addr().ok_or_else(|| ApiError::internal("the connection has no peer address"))?;
    let caller = peer.ip();
    if door.allow_list.as_ref().is_some_and(|networks| !allowed(caller, networks)) {
        return Err(ApiError::unauthorized(format!("{caller} is not on packager.allow_list")));
    }
    if request.method() != Method::GET {
        let message = format!("method {} is not supported here; use GET", request.method());
        return Err(ApiError::new(ErrorKind::MethodNotAllowed, message));
    }
    let path = RequestPath::parse(request.path())?;
    let asked = Asked::read(&path).ok_or_else(|| {
        let message = "packagers ask for /system/{ca}/edash/p/{pid}/sp/{sp}/entryId/{eid}/…";
        ApiError::new(ErrorKind::NotFound, message)
    })?;
    hand_out(&asked, caller, proofs::client_certificate(request), door).await
}

async fn hand_out(
    asked: &Asked<'_>,
    caller: IpAddr,
    certificate: Option<ClientCertificate>,
    door: &Door,
) -> Result<HttpResponse, ApiError> {
    let api = &door.api;
    let content = ContentId::new(asked.entry)
        .map_err(|error| ApiError::new(ErrorKind::Invalid, format!("entryId: {error}")))?;
    let account = account_of(&door.accounts, asked.pid).ok_or_else(|| {
        ApiError::unauthorized(format!("partner {:?} is not in packager.accounts", asked.pid))
    })?;
    let unsigned = UnsignedRequest::new(account, caller, door.unproved)
        .of_ca_system(asked.ca_system)?
        .with_certificate(certificate)
        .for_content(Some(content.clone()));
    let admit = async || door.authenticator.admit(&unsigned);
    let grant = authentication::retry_with_fresh_accounts(api, admit).await??;
    let (content, account, provider) = (&content, grant.account(), EncryptionProvider::Cenc);
    let served = api.keys.create(&grant, content, None).await?;
    let systems =
        system_data::of_key(provider, api, account, (content, &TrackName::default_track()), &served)?;
    key_answer::key(&KeyAnswer {
        provider,
        account,
        // What an account prefers is for the clients that sign; packagers on the fly know arrays only.
        shape: ResponseShape::Array,
        content,
        served: &served,
        systems: &systems,
        own_url: &door.api_url,
        auxiliary: AuxiliaryAnswer::NotAsked,
    })
}

fn api_url(config: &HttpSettings) -> String {
    let scheme = if config.http.tls_cert_file.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", config.http.listen)
}

fn account_of(accounts: &[PackagerAccount], pid: &str) -> Option<AccountId> {
    accounts.iter().find(|entry| entry.pid == pid).map(|entry| entry.account.clone())
}

/// What a packager's path says.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'p> {
    ca_system: &'p str,
    pid: &'p str,
    entry: &'p str,
}

impl<'p> Asked<'p> {
    /// Reads a path, if it is one of a packager. Names match without regard to case, identifiers as
    /// they are.
    fn read(path: &'p RequestPath<'_>) -> Option<Self> {
        let named = [(0, "system"), (2, "edash"), (3, "p"), (5, "sp")];
        if !named.iter().all(|(index, name)| path.is(*index, name)) {
            return None;
        }
        // Packagers that serve one flavour by its URL write so between the two ids.
        let at = if path.is(7, "serveflavor") { 8 } else { 7 };
        if !path.is(at, "entryid") {
            return None;
        }
        Some(Self { ca_system: path.segment(1)?, pid: path.segment(4)?, entry: path.segment(at + 1)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(raw: &str) -> Option<(String, String, String)> {
        let path = RequestPath::parse(raw).unwrap();
        Asked::read(&path).map(|asked| (asked.ca_system.into(), asked.pid.into(), asked.entry.into()))
    }

    #[test]
    fn a_packagers_path_names_system_partner_and_entry() {
        let expected = Some(("ovp".into(), "437".into(), "1_aBc".into()));
        for raw in [
            "/system/ovp/edash/p/437/sp/43700/entryId/1_aBc/flavorId/1_x/name/a.mp4",
            "/system/ovp/edash/p/437/sp/43700/entryId/1_aBc",
            "//SYSTEM/ovp//edash/P/437/SP/43700/ENTRYID/1_aBc/flavorId/1_x/",
            "/system/ovp/edash/p/437/sp/43700/serveFlavor/entryId/1_aBc/v/2/flavorId/1_x",
        ] {
            assert_eq!(entry(raw), expected, "{raw}");
        }
    }

    #[test]
    fn other_paths_name_nothing() {
        for raw in [
            "/",
            "/system/ovp/edash/p/437/sp/43700/entryId",
            "/system/ovp/edash/p/437/entryId/1_a",
            "/system/ovp/hls/p/437/sp/43700/entryId/1_a",
            "/system/ovp/edash/p/437/sp/43700/flavorId/1_a",
            "/cenc/widevine/encryption",
        ] {
            assert_eq!(entry(raw), None, "{raw}");
        }
    }

    #[test]
    fn flavours_and_what_follows_change_nothing() {
        let one = entry("/system/ovp/edash/p/1/sp/2/entryId/e/flavorId/a");
        assert_eq!(one, entry("/system/ovp/edash/p/1/sp/2/entryId/e/flavorId/b/name/x/entryId/z"));
    }

    proptest! {
        #[test]
        fn no_path_is_too_odd_to_be_read(raw in "(/(system|ovp|edash|p|sp|entryId|serveFlavor|[a-z0-9]{0,3})){0,12}") {
            let path = RequestPath::parse(&raw).unwrap();
            let _read = Asked::read(&path);
        }
    }
}
