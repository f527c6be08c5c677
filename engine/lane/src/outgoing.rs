//! Connections that begin here.

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Begins a TCP connection, without waiting for it; see
/// [`Lanes::adopt_connecting`](crate::Lanes::adopt_connecting). It has `TCP_NODELAY`, and
/// buffers no more unsent bytes than `unsent_bytes_max` and one send (`TCP_NOTSENT_LOWAT`).
///
/// From a source address with port 0 the kernel takes a port that is free towards this
/// destination, so that each destination has all of a source's ports anew
/// (`IP_BIND_ADDRESS_NO_PORT`, ip(7)).
///
/// # Errors
/// Those of socket(2), bind(2) and connect(2) which are known at once, as a refused
/// connection on loopback is.
pub fn connect(
    source: Option<SocketAddr>,
    destination: SocketAddr,
    unsent_bytes_max: u32,
) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(destination);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(unsent_bytes_max)?;
    if let Some(source) = source {
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&source.into())?;
    }
    match socket.connect(&destination.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}
