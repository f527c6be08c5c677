//! Sockets that listen, with the options that accepted ones inherit from them.

use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;

/// How to listen at one address.
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// Where; port 0 picks a free one.
    pub address: SocketAddr,
    /// Connections that the kernel keeps until they are accepted; it cuts this to
    /// `net.core.somaxconn`. Default 4,096.
    pub backlog: u16,
    /// Tasks that accept. More than one share the address by `SO_REUSEPORT`, each with
    /// a backlog of its own, and then any program of the same user may join them. On
    /// a runtime of one thread more than one is of no use. Default 1.
    pub accept_loops: NonZeroU32,
    /// `TCP_NOTSENT_LOWAT` of the connections, in bytes (tcp(7)): from so much unsent
    /// data on the kernel takes no more. Default 16,384.
    pub not_sent_bytes_max: u32,
}

impl ListenSettings {
    /// The defaults, at an address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            backlog: 4096,
            accept_loops: NonZeroU32::MIN,
            not_sent_bytes_max: 16 * 1024,
        }
    }
}

/// An address that is listened at.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    pub(crate) sockets: Vec<TcpListener>,
}

impl Listener {
    /// Listens; from now on the kernel keeps connections in the backlog.
    ///
    /// Accepted connections inherit `TCP_NODELAY` and `TCP_NOTSENT_LOWAT` from here.
    ///
    /// # Errors
    /// [`ListenError`], whose sentence says what to do.
    pub fn bind(settings: &ListenSettings) -> Result<Self, ListenError> {
        let mut address = settings.address;
        let mut sockets = Vec::new();
        for _ in 0..settings.accept_loops.get() {
            let bound = bind_one(address, settings);
            let socket = bound.map_err(|error| ListenError::new(address, error))?;
            // A port that the first one picked is the others' too.
            address = socket
                .local_addr()
                .map_err(|error| ListenError::new(address, error))?;
            sockets.push(socket);
        }
        Ok(Self { address, sockets })
    }

    /// Where it listens, with the port that was picked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn bind_one(address: SocketAddr, settings: &ListenSettings) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the last run that still linger are no reason not to start.
    socket.set_reuse_address(true)?;
    if settings.accept_loops.get() > 1 {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(settings.not_sent_bytes_max)?;
    socket.bind(&address.into())?;
    socket.listen(settings.backlog.into())?;
    Ok(socket.into())
}

/// Why an address can't be listened at.
#[derive(Debug)]
pub enum ListenError {
    /// Another program listens there.
    AddressInUse(SocketAddr),
    /// Ports below 1024 are not for everybody.
    PermissionDenied(SocketAddr),
    /// This host has no such address.
    AddressNotAvailable(SocketAddr),
    /// Anything else that the kernel says.
    Refused(SocketAddr, io::Error),
}

impl ListenError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse(address),
            io::ErrorKind::PermissionDenied => Self::PermissionDenied(address),
            io::ErrorKind::AddrNotAvailable => Self::AddressNotAvailable(address),
            _ => Self::Refused(address, error),
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressInUse(address) => write!(
                formatter,
                "{address} is taken: stop the program that listens there \
                 (`ss -ltnp sport = :{}` names it) or choose another port",
                address.port()
            ),
            Self::PermissionDenied(address) => write!(
                formatter,
                "{address} may not be listened at: choose a port from 1024 on, or give the program \
                 the right (`setcap cap_net_bind_service=+ep FILE`)"
            ),
            Self::AddressNotAvailable(address) => write!(
                formatter,
                "{address} is no address of this host: `ip address` lists those it has, \
                 0.0.0.0 and [::] stand for all"
            ),
            Self::Refused(address, error) => {
                write!(formatter, "{address} can't be listened at: {error}")
            }
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Here, because a test that runs as root may listen at any port.
    #[test]
    fn a_port_that_is_not_for_everybody_is_named() {
        let address = "127.0.0.1:80".parse().expect("an address");
        let denied = io::ErrorKind::PermissionDenied;
        let error = ListenError::new(address, denied.into());
        assert_eq!(
            error.to_string(),
            "127.0.0.1:80 may not be listened at: choose a port from 1024 on, or give the program \
             the right (`setcap cap_net_bind_service=+ep FILE`)"
        );
    }
}
