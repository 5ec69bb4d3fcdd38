//! Free addresses on loopback, for programs that cannot choose one themselves and report it.

use std::net::{Ipv4Addr, SocketAddr};

use keymoot_dev::free_port;

use crate::RigError;

/// `COUNT` addresses, no two the same.
///
/// # Errors
/// When there are not enough.
pub fn free<const COUNT: usize>() -> Result<[SocketAddr; COUNT], RigError> {
    let mut held = Vec::new();
    let mut address = || free_port(&mut held).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let addresses = (0..COUNT).map(|_| address()).collect::<Result<Vec<_>, _>>();
    let addresses = addresses.map_err(RigError::io("cannot find a free port"))?;
    addresses.try_into().map_err(|_| RigError::Program(format!("there are no {COUNT} free ports")))
}
