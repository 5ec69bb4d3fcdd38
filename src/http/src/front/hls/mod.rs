//! HLS AES-128: key-info for encoders, and the keys themselves by URL.
//!
//! `GET /hls/keyinfo` answers an encoder in FFmpeg's form, `GET /hls/key/{kid}` hands out sixteen
//! bytes: to the encoder by the token of its key-info, to a player by a signature of the license scope.
//!
//! A player of AES-128 holds the key in the clear, so these keys are of a track of their own
//! ([`keymoot_model::TrackName::hls_aes_128`]): a key that a DRM system protects is never handed out here,
//! whoever asks.

mod key;
mod key_info;

pub use key::key;
pub use key_info::key_info;

use std::time::{Duration, Instant};

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use keymoot_protocol::KeyTokens;

/// How long a request waits for the cluster's keys on a node that has just started: encoders give up
/// at an error and wait patiently on silence.
const KEYS_WITHIN: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What makes and reads tokens, once this node has the cluster's keys.
async fn key_tokens(api: &Api) -> Result<&KeyTokens, ApiError> {
    let began = Instant::now();
    loop {
        if let Some(keys) = api.server_keys.get() {
            return Ok(keys.key_tokens());
        }
        if began.elapsed() > KEYS_WITHIN {
            let message = "no quorum of the key servers could be reached in time; try again";
            return Err(ApiError::with_reason(
                ErrorKind::NoQuorum,
                message,
                "the servers' secret is not known",
            ));
        }
        actix_web::rt::time::sleep(LOOK_EVERY).await;
    }
}
