//! The uDRM encryption endpoint (uDRM 2.3.3, 2.3.5): `{provider}/encryption`.

use actix_web::http::Method;
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use keymoot_auth::{AuthHandle, Grant};
use keymoot_drm::EncryptionProvider;
use keymoot_protocol::CustomData;
use keymoot_service::{ContentTrack, ServedKey};

use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::key_answer::{self, AuxiliaryAnswer, KeyAnswer};
use crate::answer::system_data;
use crate::api::Api;
use crate::request::caller::own_url;
use crate::request::custom_data::{self, ProvedRequest, attach_policy, supplied};

/// Answers a request to `{provider}/encryption`.
pub async fn encryption(
    provider: EncryptionProvider,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let method = request.method();
    let ProvedRequest { grant, said, wants_auxiliary } =
        custom_data::receive(request, payload, api, auth).await?;
    let custom_data = said.what();
    let content = custom_data.content_id();
    let name = custom_data::track(provider, custom_data)?;
    let track = ContentTrack::new(content, &name);
    if [Method::POST, Method::PUT].contains(method) {
        attach_policy(&grant, custom_data, *method == Method::POST, api).await?;
    }
    let served = match *method {
        Method::GET => read(&grant, custom_data, track, api).await?,
        Method::POST => api.keys.create(&grant, track, supplied(custom_data)?).await?,
        Method::PUT => api.keys.replace(&grant, track, supplied(custom_data)?).await?,
        _ => {
            let versions = api.keys.delete(&grant, track, custom_data.kid()).await?;
            return key_answer::deleted(content, versions);
        }
    };
    if [Method::POST, Method::PUT].contains(method)
        && let Some(auxiliary) = custom_data.auxiliary()
    {
        // POST adds what is not there and PUT overrides, as they do with the key.
        let if_absent = *method == Method::POST;
        api.keys.keep_auxiliary(&grant, content, auxiliary.clone(), if_absent).await?;
    }
    let stored = if wants_auxiliary { api.keys.auxiliary(&grant, content).await? } else { None };
    let auxiliary = match wants_auxiliary {
        true => AuxiliaryAnswer::Asked(stored.as_ref()),
        false => AuxiliaryAnswer::NotAsked,
    };
    let of_track = (content, &name);
    let systems = system_data::of_key(provider, api, grant.account(), of_track, &served)?;
    key_answer::key(&KeyAnswer {
        provider,
        account: grant.account(),
        shape: grant.account().response_shape,
        content,
        served: &served,
        systems: &systems,
        own_url: &own_url(request),
        auxiliary,
    })
}

/// The track's current key, or the version of the key id that is named.
async fn read(
    grant: &Grant,
    custom_data: &CustomData,
    track: ContentTrack<'_>,
    api: &Api,
) -> Result<ServedKey, ApiError> {
    let content = custom_data.content_id();
    let served = match custom_data.kid() {
        Some(kid) => api.keys.read_version(grant, track, &kid).await?,
        None => api.keys.read(grant, track).await?,
    };
    served.ok_or_else(|| {
        let message = match custom_data.kid() {
            Some(kid) => format!("content {content} has no key with key_id {}", kid.to_base64()),
            None => format!("content {content} has no key; POST creates one"),
        };
        ApiError::new(ErrorKind::NotFound, message)
    })
}
