//! Free addresses on loopback, for programs that cannot choose one themselves and report it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use crate::RigError;

/// Below the ports that systems give to connections, which could take one before its program does.
const PICKED: Range<u16> = 10_240..32_768;
/// How often a port is picked before it is given up.
const PICKS_MAX: usize = 1000;

/// `COUNT` addresses, no two the same.
///
/// # Errors
/// When there are not enough.
pub fn free<const COUNT: usize>() -> Result<[SocketAddr; COUNT], RigError> {
    // All are bound at once, so that none is returned twice.
    let listeners: Vec<TcpListener> = (0..COUNT).filter_map(|_| bind()).collect();
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>();
    let addresses = addresses.map_err(RigError::io("cannot find a free port"))?;
    addresses.try_into().map_err(|_| RigError::Program(format!("there are no {COUNT} free ports")))
}

fn bind() -> Option<TcpListener> {
    let picked = || TcpListener::bind((Ipv4Addr::LOCALHOST, rand::random_range(PICKED))).ok();
    (0..PICKS_MAX).find_map(|_| picked())
}
