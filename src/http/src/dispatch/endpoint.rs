//! Every way into the API: one table that the dispatcher matches and the published document is made
//! from, so that neither can know of a route that the other does not.

use std::sync::LazyLock;

use actix_web::http::Method;

use keymoot_drm::EncryptionProvider;
use keymoot_license::LicenseProvider;

use crate::request::path::RequestPath;

/// The license endpoint's name in metrics.
pub const LICENSE: &str = "license";

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Keys by the uDRM specification.
    Encryption(EncryptionProvider),
    /// Keys of crypto periods, and which holds when.
    Schedule(EncryptionProvider),
    /// Keys by the Widevine common encryption API.
    ContentKey,
    /// Keys by PlayReady's AcquirePackagingData.
    PackagingData,
    /// What an encoder of HLS AES-128 needs to know.
    HlsKeyInfo,
    /// A key of HLS AES-128.
    HlsKey,
    /// Licenses for players.
    License(LicenseProvider),
    /// The policies of an account.
    Policies,
    /// One policy.
    Policy,
    /// The contents that a policy is attached to.
    PolicyContent,
    /// Whether a policy is the account's default.
    PolicyDefault,
    /// Keys of many contents in one request.
    Bulk,
    /// Keys of many contents, wrapped for a recipient.
    Export,
    /// What this server can do.
    Capabilities,
    /// This API, described for programs.
    Document,
    /// The same for people: a page that shows the document, and the files it needs.
    Viewer,
    /// The process answers.
    Healthy,
    /// The node serves.
    Ready,
    /// What is measured.
    Metrics,
}

/// Paths and what they lead to. A part in braces stands for one segment of the caller's; the others
/// match without regard to case.
pub const ROUTES: &[(&str, Endpoint)] = &[
    ("/cenc/widevine/encryption", Endpoint::Encryption(EncryptionProvider::CencWidevine)),
    ("/cenc/playready/encryption", Endpoint::Encryption(EncryptionProvider::CencPlayReady)),
    ("/cenc/primetime/encryption", Endpoint::Encryption(EncryptionProvider::CencPrimetime)),
    ("/cenc/encryption", Endpoint::Encryption(EncryptionProvider::Cenc)),
    ("/playready/encryption", Endpoint::Encryption(EncryptionProvider::PlayReady)),
    ("/widevine/encryption", Endpoint::Encryption(EncryptionProvider::Widevine)),
    ("/fps/encryption", Endpoint::Encryption(EncryptionProvider::Fps)),
    ("/hls/encryption", Endpoint::Encryption(EncryptionProvider::Hls)),
    ("/cenc/widevine/schedule", Endpoint::Schedule(EncryptionProvider::CencWidevine)),
    ("/cenc/playready/schedule", Endpoint::Schedule(EncryptionProvider::CencPlayReady)),
    ("/cenc/primetime/schedule", Endpoint::Schedule(EncryptionProvider::CencPrimetime)),
    ("/cenc/schedule", Endpoint::Schedule(EncryptionProvider::Cenc)),
    ("/playready/schedule", Endpoint::Schedule(EncryptionProvider::PlayReady)),
    ("/widevine/schedule", Endpoint::Schedule(EncryptionProvider::Widevine)),
    ("/fps/schedule", Endpoint::Schedule(EncryptionProvider::Fps)),
    ("/hls/schedule", Endpoint::Schedule(EncryptionProvider::Hls)),
    ("/cenc/getcontentkey", Endpoint::ContentKey),
    ("/cenc/getcontentkey/{account}", Endpoint::ContentKey),
    ("/widevine/cenc/getcontentkey", Endpoint::ContentKey),
    ("/widevine/cenc/getcontentkey/{account}", Endpoint::ContentKey),
    ("/playready/acquirepackagingdata/{account}", Endpoint::PackagingData),
    ("/hls/keyinfo", Endpoint::HlsKeyInfo),
    ("/hls/key/{kid}", Endpoint::HlsKey),
    ("/cenc/clearkey/license", Endpoint::License(LicenseProvider::ClearKey)),
    ("/cenc/widevine/license", Endpoint::License(LicenseProvider::CencWidevine)),
    ("/cenc/playready/license", Endpoint::License(LicenseProvider::CencPlayReady)),
    ("/playready/license", Endpoint::License(LicenseProvider::PlayReady)),
    ("/fps/license", Endpoint::License(LicenseProvider::FairPlay)),
    ("/widevine/license", Endpoint::License(LicenseProvider::WidevineClassic)),
    ("/policy", Endpoint::Policies),
    ("/policy/{name}", Endpoint::Policy),
    ("/policy/{name}/content", Endpoint::PolicyContent),
    ("/policy/{name}/default", Endpoint::PolicyDefault),
    ("/bulk", Endpoint::Bulk),
    ("/export", Endpoint::Export),
    ("/capabilities", Endpoint::Capabilities),
    ("/openapi.json", Endpoint::Document),
    ("/docs", Endpoint::Viewer),
    ("/docs/{file}", Endpoint::Viewer),
    ("/healthz", Endpoint::Healthy),
    ("/readyz", Endpoint::Ready),
    ("/metrics", Endpoint::Metrics),
];

const ALL: &[Method] = &[Method::GET, Method::POST, Method::PUT, Method::DELETE];
const GET_POST_PUT: &[Method] = &[Method::GET, Method::POST, Method::PUT];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const PUT_DELETE: &[Method] = &[Method::PUT, Method::DELETE];
const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];

impl Endpoint {
    /// What a path leads to, and whether its last segment is the caller's own word.
    pub fn of(path: &RequestPath<'_>) -> Option<(Self, bool)> {
        let route = SPLIT_ROUTES.iter().find(|route| route.is(path))?;
        Some((route.endpoint, route.segments.last().is_some_and(Option::is_none)))
    }

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encryption(_) => "encryption",
            Self::Schedule(_) => "schedule",
            Self::ContentKey => "getcontentkey",
            Self::PackagingData => "acquirepackagingdata",
            Self::HlsKeyInfo => "hls_keyinfo",
            Self::HlsKey => "hls_key",
            Self::License(_) => LICENSE,
            Self::Policies | Self::Policy | Self::PolicyContent | Self::PolicyDefault => "policy",
            Self::Bulk => "bulk",
            Self::Export => "export",
            Self::Capabilities => "capabilities",
            Self::Document => "openapi",
            Self::Viewer => "docs",
            Self::Healthy => "healthz",
            Self::Ready => "readyz",
            Self::Metrics => "metrics",
        }
    }

    /// The methods that do something. What can be got can be asked for its head, too.
    pub const fn methods(self) -> &'static [Method] {
        match self {
            Self::Encryption(_) | Self::Policy => ALL,
            Self::Policies => GET_POST,
            Self::PolicyContent | Self::PolicyDefault => PUT_DELETE,
            Self::Schedule(_) => GET_POST_PUT,
            Self::ContentKey | Self::PackagingData | Self::License(_) | Self::Bulk | Self::Export => POST,
            Self::HlsKeyInfo
            | Self::HlsKey
            | Self::Capabilities
            | Self::Document
            | Self::Viewer
            | Self::Healthy
            | Self::Ready
            | Self::Metrics => GET,
        }
    }

    /// Whether HEAD is answered like GET without its body. A head of a key would be of no use.
    pub const fn has_head(self) -> bool {
        !matches!(
            self,
            Self::Encryption(_)
                | Self::Schedule(_)
                | Self::ContentKey
                | Self::PackagingData
                | Self::HlsKeyInfo
                | Self::HlsKey
                | Self::License(_)
                | Self::Policies
                | Self::Policy
                | Self::PolicyContent
                | Self::PolicyDefault
                | Self::Bulk
                | Self::Export
        )
    }
}

/// The routes, split once: every request is held against them.
static SPLIT_ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let split =
        |path: &'static str| path.split('/').skip(1).map(|own| Some(own).filter(|own| !own.starts_with('{')));
    let routes =
        ROUTES.iter().map(|(path, endpoint)| Route { segments: split(path).collect(), endpoint: *endpoint });
    routes.collect()
});

struct Route {
    /// `None` stands for any one segment.
    segments: Vec<Option<&'static str>>,
    endpoint: Endpoint,
}

impl Route {
    fn is(&self, path: &RequestPath<'_>) -> bool {
        self.segments.len() == path.count()
            && self.segments.iter().enumerate().all(|(index, own)| own.is_none_or(|own| path.is(index, own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<(Endpoint, bool)> {
        Endpoint::of(&RequestPath::parse(path).unwrap())
    }

    #[test]
    fn every_provider_has_its_path() {
        for provider in EncryptionProvider::ALL {
            let path = format!("{provider}/encryption");
            assert_eq!(of(&path), Some((Endpoint::Encryption(provider), false)));
            let path = format!("{provider}/schedule");
            assert_eq!(of(&path), Some((Endpoint::Schedule(provider), false)));
        }
        for provider in LicenseProvider::ALL {
            let path = format!("{}/license", provider.path());
            assert_eq!(of(&path), Some((Endpoint::License(provider), false)));
        }
    }

    #[test]
    fn a_part_in_braces_is_one_segment_and_the_rest_is_exact() {
        assert_eq!(of("//CENC/getContentKey/me/"), Some((Endpoint::ContentKey, true)));
        assert_eq!(of("cenc/getcontentkey"), Some((Endpoint::ContentKey, false)));
        assert_eq!(of("cenc/getcontentkey/me/too"), None);
        assert_eq!(of("cenc"), None);
        assert_eq!(of(""), None);
    }
}
