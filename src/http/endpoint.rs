//! Every way into the API: one table that the dispatcher matches and the published document is made
//! from, so that neither can know of a route that the other does not.

use actix_web::http::Method;

use crate::drm::EncryptionProvider;

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
const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];

impl Endpoint {
    /// What these segments, in lower case, lead to, and whether the last is the caller's own word.
    pub fn of(segments: &[&str]) -> Option<(Self, bool)> {
        let (path, endpoint) = ROUTES.iter().find(|(path, _)| matches(path, segments))?;
        Some((*endpoint, path.ends_with('}')))
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
            Self::Encryption(_) => ALL,
            Self::Schedule(_) => GET_POST_PUT,
            Self::ContentKey | Self::PackagingData | Self::Bulk | Self::Export => POST,
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
                | Self::Bulk
                | Self::Export
        )
    }
}

fn matches(path: &str, segments: &[&str]) -> bool {
    let own = path.split('/').skip(1);
    own.clone().count() == segments.len()
        && own.zip(segments).all(|(own, given)| own.starts_with('{') || own == *given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_its_path() {
        for provider in EncryptionProvider::ALL {
            let path = format!("{provider}/encryption");
            let segments: Vec<&str> = path.split('/').collect();
            assert_eq!(Endpoint::of(&segments), Some((Endpoint::Encryption(provider), false)));
            let path = format!("{provider}/schedule");
            let segments: Vec<&str> = path.split('/').collect();
            assert_eq!(Endpoint::of(&segments), Some((Endpoint::Schedule(provider), false)));
        }
    }

    #[test]
    fn a_part_in_braces_is_one_segment_and_the_rest_is_exact() {
        assert_eq!(Endpoint::of(&["cenc", "getcontentkey", "me"]), Some((Endpoint::ContentKey, true)));
        assert_eq!(Endpoint::of(&["cenc", "getcontentkey", "me", "too"]), None);
        assert_eq!(Endpoint::of(&["cenc"]), None);
        assert_eq!(Endpoint::of(&[]), None);
    }
}
