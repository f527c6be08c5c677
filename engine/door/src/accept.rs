//! Accepting, whatever the kernel answers.

use crate::authenticate::Authenticate;
use crate::counters::Counters;
use crate::hall::Hall;
use crate::refusal::Refusal;
use crate::visitor::Visitor;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

/// What newcomers of one listener have in common.
pub(crate) struct Entrance {
    pub(crate) address: SocketAddr,
    pub(crate) authenticate: Arc<dyn Authenticate>,
    pub(crate) report: Arc<dyn Fn(Trouble) + Send + Sync>,
}

impl fmt::Debug for Entrance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Entrance")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Accepts newcomers as long as the task runs.
pub(crate) async fn accept_all(listener: TcpListener, entrance: Arc<Entrance>, hall: Arc<Hall>) {
    let mut is_troubled = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                is_troubled = false;
                receive(stream, peer, &entrance, &hall).await;
            }
            Err(error) if concerns_one_connection(&error) => {
                Counters::add(&hall.counters.aborted);
            }
            Err(error) => {
                // accept(2) looks for a descriptor first, and then whether anybody waits.
                let somebody_waits = somebody_waits(&listener);
                if somebody_waits {
                    Counters::add(&hall.counters.accept_failed);
                    // Once, until accepting succeeds again.
                    if !std::mem::replace(&mut is_troubled, true) {
                        (entrance.report)(Trouble::new(entrance.address, error));
                    }
                }
                hall.regain(somebody_waits).await;
            }
        }
    }
}

/// Whether a connection is in the backlog. If that can't be told, there may be one.
fn somebody_waits(listener: &TcpListener) -> bool {
    let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO) != Ok(0)
}

async fn receive(
    stream: TcpStream,
    mut peer: SocketAddr,
    entrance: &Arc<Entrance>,
    hall: &Arc<Hall>,
) {
    // A listener at [::] sees peers of IPv4 in the form of IPv6.
    peer.set_ip(peer.ip().to_canonical());
    let Some(address_place) = hall.addresses.take(peer.ip()) else {
        Counters::add(&hall.counters.accepted);
        hall.counters.add_refused(Refusal::AddressFull);
        return;
    };
    let _place = hall.place().await;
    let visitor = Visitor {
        stream,
        peer,
        entrance: Arc::clone(entrance),
        hall: Arc::clone(hall),
        _place,
        address_place,
    };
    visitor.enter();
}

/// Whether an error of accept(2) is about the connection that was to be accepted, so
/// that the next one may well succeed. The manual page lists them: an error that is
/// already pending on the new connection, and a firewall's veto.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        errno(error),
        Errno::ECONNABORTED
            | Errno::EINTR
            | Errno::EPERM
            | Errno::ENETDOWN
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::EOPNOTSUPP
            | Errno::ENETUNREACH
            | Errno::ETIMEDOUT
    )
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Accepting fails for want of something. It is tried again whenever a newcomer leaves,
/// and ten times a second; connections wait in the backlog meanwhile.
#[derive(Debug)]
pub struct Trouble {
    /// Which listener.
    pub address: SocketAddr,
    /// What the kernel says: accept(2).
    pub error: io::Error,
}

impl Trouble {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        Self { address, error }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        write!(formatter, "connections to {address} have to wait: ")?;
        match errno(error) {
            Errno::EMFILE => {
                let (most, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or_default();
                write!(
                    formatter,
                    "this process has all {most} descriptors open that it may have: allow more \
                     with `ulimit -n` or, in a systemd unit, LimitNOFILE"
                )
            }
            Errno::ENFILE => formatter.write_str(
                "the whole system has no descriptor left: allow more with `sysctl fs.file-max`",
            ),
            Errno::ENOBUFS | Errno::ENOMEM => formatter.write_str(
                "the kernel has no memory left for sockets: see `sysctl net.ipv4.tcp_mem` and the \
                 memory limit of the control group",
            ),
            _ => error.fmt(formatter),
        }
    }
}
