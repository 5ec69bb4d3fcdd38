//! How requests prove themselves, as the document names it. `docs/authentication.md` has the details.

use utoipa::openapi::Components;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};

use keymoot_model::Scheme;

/// Every scheme that a request of this API may be proved by, the strongest first.
pub(super) fn schemes() -> Vec<(Scheme, SecurityScheme)> {
    let known = Scheme::ALL.into_iter();
    known.filter_map(|scheme| described(scheme).map(|described| (scheme, described))).collect()
}

/// What an operation demands: one of them, whichever.
pub(super) fn any() -> Vec<SecurityRequirement> {
    schemes().into_iter().map(|(scheme, _)| SecurityRequirement::new(scheme.name(), [""; 0])).collect()
}

/// The schemes among the document's components.
pub(super) fn add_to(mut components: Components) -> Components {
    for (scheme, described) in schemes() {
        components.add_security_scheme(scheme.name(), described);
    }
    components
}

fn described(scheme: Scheme) -> Option<SecurityScheme> {
    let signature =
        |text: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Signature", text)));
    let http = |kind: HttpAuthScheme, text: &str| -> Http {
        HttpBuilder::new().scheme(kind).description(Some(text)).build()
    };
    let http_scheme = |text: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", text)))
    };
    Some(match scheme {
        Scheme::MutualTls => SecurityScheme::MutualTls {
            description: Some("The certificate that the client shows when it connects.".to_owned()),
            deprecated: None,
            extensions: None,
        },
        Scheme::HttpEd25519 => signature(
            "HTTP Message Signatures (RFC 9421), `ed25519`: `Signature-Input` with the tag `keymoot`, `keyid` \
             ACCOUNT or ACCOUNT/CREDENTIAL, `created` and `nonce`; it covers method, address and, where there \
             is a body, `Content-Digest` (RFC 9530).",
        ),
        Scheme::HttpHmacSha256 => signature("The same with a shared secret, `hmac-sha256`."),
        Scheme::AwsSigV4 => http_scheme(
            "AWS Signature Version 4 in `Authorization`. The access key id is a credential's name, or ACCOUNT/CREDENTIAL; \
             region and service may be any. It covers `host`, `x-amz-date` and every other `x-amz-` header, and the body's \
             SHA-256.",
        ),
        Scheme::Digest => SecurityScheme::Http(http(
            HttpAuthScheme::Digest,
            "RFC 7616 with SHA-256, over TLS only. The user is ACCOUNT or ACCOUNT/CREDENTIAL.",
        )),
        Scheme::Basic => SecurityScheme::Http(http(
            HttpAuthScheme::Basic,
            "RFC 7617, over TLS only. The user is ACCOUNT or ACCOUNT/CREDENTIAL.",
        )),
        Scheme::UdrmSha1 => SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
            "signature",
            "uDRM 2.3.1: `Base64(SHA1(signing key + signed bytes))`, percent-encoded. Signed is the body as it \
             is sent, or the decoded `custom_data` where there is no body. Check your code with: key \
             `test-signing-key`, bytes `{\"ca_system\":\"OVP\",\"account_id\":\"167\",\"content_id\":\"a.mp4\",\
             \"files\":\"\"}`, signature `h405UlVg8QQxG/HGOJlJs4EY3T0=`.",
        ))),
        // They live inside the bodies of an API of their own.
        Scheme::WidevineAes | Scheme::WidevineRsa => return None,
    })
}
