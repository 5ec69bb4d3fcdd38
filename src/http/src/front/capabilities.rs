//! `GET /capabilities`: what this server can do (requirement 5.2.5), for clients that negotiate.
//!
//! It is asked for before anybody is authenticated, so it holds nothing about accounts, nodes or
//! the network. Every list comes from the code that does the work, never from a second list.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use keymoot_cpix::{BYTES_MAX, DrmSystem, Protocol};
use keymoot_drm::{EncryptionProvider, ProtectionScheme, System};
use keymoot_license::LicenseProvider;
use keymoot_model::{AccountId, ContentId, Scheme, TrackName};
use keymoot_protocol::query::QUERY_BYTES_MAX;
use keymoot_protocol::widevine::TRACK_TYPES;
use keymoot_protocol::{BulkBody, CustomData};
use keymoot_service::PERIODS_MAX;

use crate::answer::error::ApiError;
use crate::api::Api;
use crate::request::schemes;

/// What this server can do (requirement 5.2.5).
#[derive(Serialize, ToSchema)]
pub(crate) struct Capabilities {
    /// Always `keymoot`.
    product: &'static str,
    /// Of the product.
    version: &'static str,
    encryption: EncryptionCapabilities,
    documents: DocumentCapabilities,
    /// The providers whose licenses this node serves, each at `/{path}/license`.
    licenses: Vec<&'static str>,
    tracks: Tracks,
    rotation: Rotation,
    limits: Limits,
    /// The strongest first.
    authentication: Vec<AuthenticationScheme>,
    signed_requests: SignedRequests,
    /// Left out until the cluster has its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_answers: Option<SignedAnswers>,
}

/// How requests are signed by RFC 9421.
#[derive(Serialize, ToSchema)]
struct SignedRequests {
    signature_lifetime_s: u64,
    clock_skew_s: u64,
}

/// What `Accept-Signature` is answered with.
#[derive(Serialize, ToSchema)]
struct SignedAnswers {
    algorithm: &'static str,
    key_id: String,
    /// Base64 of 32 bytes.
    public_key: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EncryptionCapabilities)]
struct EncryptionCapabilities {
    /// Each is served at `/{path}/encryption`.
    providers: Vec<ProviderCapabilities>,
    drm_systems: Vec<String>,
    algorithms: Vec<&'static str>,
    protection_schemes: Vec<&'static str>,
    hls_aes_128: HlsAes128,
}

/// SPEKE and CPIX.
#[derive(Serialize, ToSchema)]
#[schema(as = DocumentCapabilities)]
struct DocumentCapabilities {
    speke_versions: Vec<&'static str>,
    #[schema(value_type = Vec<String>)]
    cpix_versions: [&'static str; 5],
    drm_systems: Vec<&'static str>,
    body_bytes_max: usize,
}

/// HLS with AES-128 over whole segments.
#[derive(Serialize, ToSchema)]
struct HlsAes128 {
    /// Where encoders get key-info in FFmpeg's form.
    key_info: &'static str,
    /// Where players get a key, with its id behind.
    keys: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProviderCapabilities)]
struct ProviderCapabilities {
    path: &'static str,
    drm_systems: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Tracks {
    /// uDRM names no track: all flavours of a content share one key.
    #[schema(value_type = String)]
    default_track: TrackName,
    /// The Widevine API has a key for each of these.
    #[schema(value_type = Vec<String>)]
    widevine: [&'static str; 5],
}

#[derive(Serialize, ToSchema)]
struct Rotation {
    /// PUT makes a new version of a key; the old one stays licensable.
    replace: bool,
    /// The Widevine API and HLS key-info derive a key for each crypto period; the client chooses length and index.
    crypto_periods: bool,
    /// Keys that one request may ask for.
    crypto_periods_max: u32,
}

#[derive(Serialize, ToSchema)]
struct Limits {
    body_bytes_max: usize,
    /// Of a bulk request.
    bulk_body_bytes_max: usize,
    /// Lines of a bulk request behind its head.
    bulk_items_max: usize,
    query_bytes_max: usize,
    custom_data_bytes_max: usize,
    account_id_bytes_max: usize,
    content_id_bytes_max: usize,
    track_bytes_max: usize,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuthenticationScheme)]
struct AuthenticationScheme {
    /// Its name, as in an account's credentials.
    #[schema(value_type = String)]
    scheme: Scheme,
    /// The larger, the stronger.
    strength: u8,
}

/// The answer to `GET /capabilities`.
pub(crate) fn answer(request: &HttpRequest, api: &Api) -> Result<HttpResponse, ApiError> {
    let capabilities = Capabilities {
        product: "keymoot",
        version: env!("CARGO_PKG_VERSION"),
        encryption: encryption(),
        documents: documents(),
        licenses: api.licenses.providers().into_iter().map(LicenseProvider::path).collect(),
        tracks: Tracks { default_track: TrackName::default_track(), widevine: TRACK_TYPES },
        rotation: Rotation { replace: true, crypto_periods: true, crypto_periods_max: PERIODS_MAX },
        limits: limits(api),
        authentication: schemes::accepted(request, api)
            .into_iter()
            .map(|scheme| AuthenticationScheme { scheme, strength: scheme.strength() })
            .collect(),
        signed_requests: SignedRequests {
            signature_lifetime_s: api.signature_window.lifetime_s,
            clock_skew_s: api.signature_window.clock_skew_s,
        },
        signed_answers: api.server_keys.get().map(|keys| SignedAnswers {
            algorithm: "ed25519",
            key_id: keys.key_id().to_owned(),
            public_key: keys.public_key(),
        }),
    };
    Ok(HttpResponse::Ok().json(capabilities))
}

fn encryption() -> EncryptionCapabilities {
    let names = |systems: &[System]| systems.iter().map(ToString::to_string).collect();
    let provider = |provider: EncryptionProvider| ProviderCapabilities {
        path: provider.path(),
        drm_systems: names(provider.systems()),
    };
    EncryptionCapabilities {
        providers: EncryptionProvider::ALL.map(provider).into(),
        drm_systems: names(&System::ALL),
        algorithms: vec!["AES-128"],
        protection_schemes: ProtectionScheme::ALL.map(ProtectionScheme::name).into(),
        hls_aes_128: HlsAes128 { key_info: "/hls/keyinfo", keys: "/hls/key" },
    }
}

fn documents() -> DocumentCapabilities {
    // Version 1 has no header to say so.
    let speke = |protocol: Protocol| match protocol {
        Protocol::Speke1 => Some("1.0"),
        _ => protocol.speke_version(),
    };
    DocumentCapabilities {
        speke_versions: Protocol::ALL.into_iter().filter_map(speke).collect(),
        cpix_versions: Protocol::CPIX_VERSIONS,
        drm_systems: DrmSystem::ALL.map(DrmSystem::name).into(),
        body_bytes_max: BYTES_MAX,
    }
}

fn limits(api: &Api) -> Limits {
    Limits {
        body_bytes_max: api.body_bytes_max,
        bulk_body_bytes_max: api.bulk_body_bytes_max,
        bulk_items_max: BulkBody::ITEMS_MAX,
        query_bytes_max: QUERY_BYTES_MAX,
        custom_data_bytes_max: CustomData::BYTES_MAX,
        account_id_bytes_max: AccountId::BYTES_MAX,
        content_id_bytes_max: ContentId::BYTES_MAX,
        track_bytes_max: TrackName::BYTES_MAX,
    }
}
