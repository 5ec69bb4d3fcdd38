//! Everything that answers at a listener, and by which paths: the dispatcher matches these rows and the
//! published document is made from the API's, so that neither can know of a route that the other does not.

use actix_web::http::Method;

use keymoot_audit::Action;
use keymoot_drm::EncryptionProvider;
use keymoot_license::LicenseProvider;

use super::route_table::PACKAGER;
use crate::front::documents::SpekePath;

/// The license endpoint's name in metrics.
pub(crate) const LICENSE: &str = "license";

/// The name in metrics of the endpoint of HLS AES-128 keys.
pub(crate) const HLS_KEY: &str = "hls_key";

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
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
    License(LicenseProvider),
    /// The policies of an account.
    Policies,
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
    Healthy,
    Ready,
    Metrics,
    /// Documents of SPEKE.
    Speke(SpekePath),
    /// Documents of plain CPIX.
    Cpix,
    /// Whether documents are answered.
    Heartbeat,
    /// The key of an entry, for packagers that cannot sign.
    EntryKey,
}

/// Which requests the audit tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audited {
    Always(Action),
    /// Those that are refused. That the node cannot answer now is no refusal.
    Refusals(Action),
}

impl Audited {
    /// What is asked for.
    pub(crate) const fn action(&self) -> &Action {
        match self {
            Self::Always(action) | Self::Refusals(action) => action,
        }
    }
}

/// The API's paths and what they lead to. A part in braces stands for one segment of the caller's; the
/// others match without regard to case.
pub(crate) fn api_routes() -> Vec<(String, Endpoint)> {
    let own = API_ROUTES.iter().map(|(path, endpoint)| ((*path).to_owned(), *endpoint));
    let encrypting = EncryptionProvider::ALL.into_iter().flat_map(|provider| {
        [
            (format!("/{provider}/encryption"), Endpoint::Encryption(provider)),
            (format!("/{provider}/schedule"), Endpoint::Schedule(provider)),
        ]
    });
    let licensing = LicenseProvider::ALL.into_iter();
    let licensing = licensing.map(|provider| (format!("/{provider}/license"), Endpoint::License(provider)));
    encrypting.chain(licensing).chain(own).collect()
}

/// The packagers' paths. `*` at the end stands for whatever follows.
pub(crate) fn packager_routes() -> Vec<(String, Endpoint)> {
    PACKAGER_ROUTES.iter().map(|(path, endpoint)| ((*path).to_owned(), *endpoint)).collect()
}

/// The API's paths beside those of the providers.
const API_ROUTES: &[(&str, Endpoint)] = &[
    ("/cenc/getcontentkey", Endpoint::ContentKey),
    ("/cenc/getcontentkey/{account}", Endpoint::ContentKey),
    ("/widevine/cenc/getcontentkey", Endpoint::ContentKey),
    ("/widevine/cenc/getcontentkey/{account}", Endpoint::ContentKey),
    ("/playready/acquirepackagingdata/{account}", Endpoint::PackagingData),
    ("/hls/keyinfo", Endpoint::HlsKeyInfo),
    ("/hls/key/{kid}", Endpoint::HlsKey),
    ("/policy", Endpoint::Policies),
    ("/policy/{name}", Endpoint::Policy),
    ("/policy/{name}/content", Endpoint::PolicyContent),
    ("/policy/{name}/default", Endpoint::PolicyDefault),
    ("/speke/v1.0/copyProtection", Endpoint::Speke(SpekePath::Any)),
    ("/speke/v2.0/copyProtection", Endpoint::Speke(SpekePath::Versioned)),
    ("/speke/v1.0/heartbeat", Endpoint::Heartbeat),
    ("/speke/v2.0/heartbeat", Endpoint::Heartbeat),
    ("/speke/v1.0/copyProtection/{account}", Endpoint::Speke(SpekePath::Any)),
    ("/speke/v2.0/copyProtection/{account}", Endpoint::Speke(SpekePath::Versioned)),
    ("/cpix/{account}", Endpoint::Cpix),
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

/// The word names what is packaged, and is the operator's choice. Packagers that serve one flavour by its URL say
/// so between the two ids; a sub-partner changes nothing.
const PACKAGER_ROUTES: &[(&str, Endpoint)] = &[
    ("/system/{ca}/{word}/p/{pid}/sp/{sp}/entryId/{eid}/*", Endpoint::EntryKey),
    ("/system/{ca}/{word}/p/{pid}/sp/{sp}/serveFlavor/entryId/{eid}/*", Endpoint::EntryKey),
    ("/system/{ca}/{word}/p/{pid}/entryId/{eid}/*", Endpoint::EntryKey),
    ("/system/{ca}/{word}/p/{pid}/serveFlavor/entryId/{eid}/*", Endpoint::EntryKey),
];

const ALL: &[Method] = &[Method::GET, Method::POST, Method::PUT, Method::DELETE];
const GET_POST_PUT: &[Method] = &[Method::GET, Method::POST, Method::PUT];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const PUT_DELETE: &[Method] = &[Method::PUT, Method::DELETE];
const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];

impl Endpoint {
    /// The name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Encryption(_) => "encryption",
            Self::Schedule(_) => "schedule",
            Self::ContentKey => "getcontentkey",
            Self::PackagingData => "acquirepackagingdata",
            Self::HlsKeyInfo => "hls_keyinfo",
            Self::HlsKey => HLS_KEY,
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
            Self::Speke(_) => "speke",
            Self::Cpix => "cpix",
            Self::Heartbeat => "heartbeat",
            Self::EntryKey => PACKAGER,
        }
    }

    /// What the audit says of a request. One that hands out a key, or decides about keys, is told whatever comes of it;
    /// of what is open to everybody, the refusals are.
    pub(crate) fn audited(self, method: &Method) -> Audited {
        Audited::Always(match self {
            Self::Encryption(_) => match *method {
                Method::GET => Action::KEY_READ,
                Method::PUT => Action::KEY_REPLACE,
                Method::DELETE => Action::KEY_DELETE,
                _ => Action::KEY_CREATE,
            },
            Self::Schedule(_) => match *method {
                Method::POST => Action::PERIODS_BEGIN,
                Method::PUT => Action::PERIODS_RESEED,
                _ => Action::PERIODS_READ,
            },
            Self::ContentKey
            | Self::PackagingData
            | Self::HlsKeyInfo
            | Self::Speke(_)
            | Self::Cpix
            | Self::Bulk
            | Self::EntryKey => Action::KEY_CREATE,
            Self::HlsKey => Action::KEY_PLAY,
            // A browser asks first whether it may.
            Self::License(_) if *method == Method::OPTIONS => {
                return Audited::Refusals(Action::LICENSE_ISSUE);
            }
            Self::License(_) => Action::LICENSE_ISSUE,
            Self::Policies | Self::Policy => match *method {
                Method::POST | Method::PUT => Action::POLICY_PUT,
                Method::DELETE => Action::POLICY_DELETE,
                _ => Action::POLICY_READ,
            },
            Self::PolicyContent => Action::POLICY_ATTACH,
            Self::PolicyDefault => Action::POLICY_DEFAULT,
            Self::Export => Action::KEY_EXPORT,
            Self::Metrics => return Audited::Refusals(Action::METRICS_READ),
            Self::Capabilities
            | Self::Document
            | Self::Viewer
            | Self::Healthy
            | Self::Ready
            | Self::Heartbeat => {
                return Audited::Refusals(Action::REQUEST);
            }
        })
    }

    /// The methods that do something. What can be got can be asked for its head, too.
    pub(crate) const fn methods(self) -> &'static [Method] {
        match self {
            Self::Encryption(_) | Self::Policy => ALL,
            Self::Policies | Self::Cpix => GET_POST,
            Self::PolicyContent | Self::PolicyDefault => PUT_DELETE,
            Self::Schedule(_) => GET_POST_PUT,
            Self::ContentKey
            | Self::PackagingData
            | Self::License(_)
            | Self::Speke(_)
            | Self::Bulk
            | Self::Export => POST,
            Self::HlsKeyInfo
            | Self::HlsKey
            | Self::Capabilities
            | Self::Document
            | Self::Viewer
            | Self::Healthy
            | Self::Ready
            | Self::Heartbeat
            | Self::Metrics
            | Self::EntryKey => GET,
        }
    }

    /// Whether OPTIONS is answered. Pages of other sites ask for licenses and keys, and ask first whether they
    /// may; load balancers ask in this way whether a node is well, unless they are told otherwise.
    pub(crate) const fn has_options(self) -> bool {
        matches!(self, Self::License(_) | Self::HlsKey | Self::Healthy | Self::Ready)
    }

    /// Whether HEAD is answered like GET without its body. Where GET may make a key, a head of it would be of no use; players
    /// and link checkers ask for the head of a key that is there.
    pub(crate) const fn has_head(self) -> bool {
        !matches!(
            self,
            Self::Encryption(_)
                | Self::Schedule(_)
                | Self::ContentKey
                | Self::PackagingData
                | Self::HlsKeyInfo
                | Self::License(_)
                | Self::Policies
                | Self::Policy
                | Self::PolicyContent
                | Self::PolicyDefault
                | Self::Speke(_)
                | Self::Cpix
                | Self::Bulk
                | Self::Export
                | Self::EntryKey
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_needs_a_proof_is_audited_whatever_comes_of_it() {
        let mut untold = Vec::new();
        for (path, endpoint) in api_routes().into_iter().chain(packager_routes()) {
            for method in endpoint.methods() {
                match endpoint.audited(method) {
                    Audited::Always(action) => assert_ne!(action, Action::REQUEST, "{method} {path}"),
                    Audited::Refusals(_) => untold.push(path.clone()),
                }
            }
        }
        let open = [
            "/speke/v1.0/heartbeat",
            "/speke/v2.0/heartbeat",
            "/capabilities",
            "/openapi.json",
            "/docs",
            "/docs/{file}",
            "/healthz",
            "/readyz",
            "/metrics",
        ];
        assert_eq!(untold, open);
    }
}
