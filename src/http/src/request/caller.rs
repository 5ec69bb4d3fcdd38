//! Who asks.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header;

use keymoot_auth::client_address;

use crate::answer::error::ApiError;
use crate::api::Api;

/// The address at the other end of the connection.
pub(crate) fn peer(request: &HttpRequest) -> Result<IpAddr, ApiError> {
    let peer = request.peer_addr().ok_or_else(|| ApiError::internal("the connection has no peer address"))?;
    Ok(peer.ip())
}

/// The caller as seen through trusted proxies only.
pub(crate) fn caller(request: &HttpRequest, api: &Api) -> Result<IpAddr, ApiError> {
    let peer = peer(request)?;
    // A value that is no text ends the walk, like any entry that is no address.
    let forwarded =
        request.headers().get_all(header::X_FORWARDED_FOR).map(|value| value.to_str().unwrap_or(""));
    let forwarded: Vec<&str> = forwarded.collect();
    Ok(client_address(peer, forwarded, &api.trusted_proxies))
}
