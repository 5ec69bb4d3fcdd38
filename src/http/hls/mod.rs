//! HLS AES-128: key-info for encoders, and the keys themselves by URL.
//!
//! `GET /hls/keyinfo` answers an encoder in FFmpeg's form, `GET /hls/key/{kid}` hands out sixteen
//! bytes: to the encoder by the token of its key-info, to a player by a signature of the license scope.
//!
//! A player of AES-128 holds the key in the clear, so these keys are of a track of their own
//! ([`crate::model::TrackName::hls_aes_128`]): a key that a DRM system protects is never handed out here,
//! whoever asks.

mod key;
mod key_info;

pub use key::key;
pub use key_info::key_info;

use actix_web::HttpRequest;
use actix_web::http::Method;

use super::error::{ApiError, ErrorKind};

fn must_be_get(request: &HttpRequest) -> Result<(), ApiError> {
    if request.method() == Method::GET {
        return Ok(());
    }
    let message = format!("method {} is not supported here; use GET", request.method());
    Err(ApiError::new(ErrorKind::MethodNotAllowed, message))
}
