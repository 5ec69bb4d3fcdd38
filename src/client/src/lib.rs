//! The scrambler's client: requests content keys from a key server at two or more service points.
//!
//! A [`KeyClient`] tries its service points in order of preference. When one fails (dead, silent,
//! faulty or without a quorum) it turns to the next at once and stays there. It goes back to a more
//! preferred point only after that one was healthy for a while. Retries are jittered and paid for
//! from a budget, so that many scramblers together never overload a key server that is coming back.
//! Fetched keys are cached for a configured time, so that a scrambler survives an outage of the
//! whole key server.
//!
//! Everything here is blocking, and the only thread is the [`Prober`]'s or that of [`LiveKeys`].
//! Time, waiting and randomness come from a [`Clock`], the network from a [`Transport`], signatures
//! from a [`Signer`]: the policy is tested without any of them. Content keys are zeroized on drop,
//! never logged, and never in a query string.

#![warn(missing_docs)]

mod answer;
mod backoff;
mod budget;
mod bulk;
mod cache;
mod clock;
mod connection;
mod credentials;
mod error;
mod fail_over;
mod fail_over_client;
mod http;
mod key_client;
mod live_keys;
mod metrics;
mod own_key;
mod period_answer;
mod periods;
mod prefetch_window;
mod probing;
mod request;
pub mod scramble;
mod server_capabilities;
mod server_proof;
mod service_point;
mod settings;
mod signer;
mod transport;

#[cfg(test)]
mod fakes;

pub use answer::FetchedKey;
pub use bulk::{ItemResult, SealedPage};
pub use cache::Freshness;
pub use clock::{Clock, SystemClock};
pub use credentials::{Credentials, CredentialsError};
pub use error::{ClientError, Setback};
pub use fail_over::PointState;
pub use http::{HttpTransport, TlsFiles, TlsFilesError};
pub use key_client::{ContentKeys, ContentTrack, KeyClient, PointStatus};
/// Types of the client's API from other crates, so that an encoder needs to depend on this crate
/// only.
pub use keymoot_crypto::{ContentKey, SecretBytes, secret_file};
pub use keymoot_drm::{EncryptionProvider, ProtectionScheme, SystemData, SystemId};
pub use keymoot_model::{AccountId, ContentId, Kid, Period, Scheme, TrackName};
pub use keymoot_protocol::{MessageKey, MessageKeyError};
pub use live_keys::{LiveKeys, LiveKeysError, LivePlan, LiveStatus};
pub use metrics::ClientMetrics;
pub use own_key::KeySource;
pub use period_answer::{PeriodKey, Schedule, ScheduleListing};
pub use periods::{PeriodStart, PeriodsWanted};
pub use probing::Prober;
pub use request::{Method, Request};
pub use server_proof::{ServerKey, ServerKeyError, ServerProof};
pub use service_point::{ServicePoint, ServicePointError, ServicePoints};
pub use settings::{ClientSettings, Timeouts};
pub use signer::{ClientCertificateIdentity, MessageSignature, SignError, Signer, UdrmSha1};
pub use transport::{Answer, Failure, Reach, Transport};
