//! Free addresses on loopback, for programs that cannot choose one themselves and report it.

use std::net::{SocketAddr, TcpListener};

use crate::RigError;

/// `COUNT` addresses, no two the same.
///
/// # Errors
/// When there are not enough.
pub fn free<const COUNT: usize>() -> Result<[SocketAddr; COUNT], RigError> {
    let bind = |_| TcpListener::bind("127.0.0.1:0");
    // All are bound at once, so that none is returned twice.
    let listeners = (0..COUNT).map(bind).collect::<Result<Vec<_>, _>>();
    let listeners = listeners.map_err(RigError::io("cannot find a free port"))?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>();
    let addresses = addresses.map_err(RigError::io("cannot find a free port"))?;
    addresses.try_into().map_err(|_| RigError::Program(format!("there are no {COUNT} free ports")))
}
