//! From where to where each client connects, and whether there are ports enough.
//!
//! A connection is told from others by four things: both addresses and both ports. Towards
//! one destination a source address has as many ports as the kernel gives out
//! (`net.ipv4.ip_local_port_range`), and has all of them anew towards the next destination
//! (`IP_BIND_ADDRESS_NO_PORT`, ip(7)). So:
//!
//! ```text
//!  connections ≤ sources × destinations × ports of the range
//! ```
//!
//! When half of the ports of a pair are taken the kernel searches long for each of the
//! others. Towards loopback, where any address of 127.0.0.0/8 will do, sources are taken
//! by themselves so that no pair gets near that.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

/// From where to where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// None at all: the kernel chooses.
    sources: Vec<IpAddr>,
    destinations: Vec<SocketAddr>,
}

/// Why clients can't connect as they should.
#[derive(Debug)]
pub(crate) enum AddressError {
    /// A text that is no destination.
    Destination(String),
    /// A name that nobody knows.
    Name(String, io::Error),
    /// A text that is no source.
    Source(String),
    /// There are too few ports.
    Ports {
        connections: u32,
        sources: usize,
        destinations: usize,
        ports: u32,
    },
}

/// Connections of one source to one destination where sources are taken by themselves.
const PAIR_CONNECTIONS: u32 = 5_000;

/// Sources that are taken by themselves: 127.1.0.0 and what follows.
const OWN_SOURCES: u32 = u32::from_be_bytes([127, 1, 0, 1]);

impl Addresses {
    /// Reads the texts of a scenario, for so many connections; `ports` are those that the
    /// kernel gives out.
    pub(crate) fn new(
        destinations: &[String],
        sources: &[String],
        connections: u32,
        ports: u32,
    ) -> Result<Self, AddressError> {
        let mut addresses = Self {
            sources: Vec::new(),
            destinations: Vec::new(),
        };
        for text in destinations {
            addresses.destinations.extend(destination(text)?);
        }
        for text in sources {
            addresses.sources.extend(source(text)?);
        }
        if addresses.sources.is_empty() {
            addresses.take_own_sources(connections);
        }
        addresses.check_ports(connections, ports)?;
        Ok(addresses)
    }

    fn take_own_sources(&mut self, connections: u32) {
        let is_loopback =
            |address: &SocketAddr| matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback());
        if !self.destinations.iter().all(is_loopback) {
            return;
        }
        let pair = PAIR_CONNECTIONS * self.destinations.len() as u32;
        let count = connections.div_ceil(pair);
        if count > 1 {
            let own = (0..count).map(|number| IpAddr::V4(Ipv4Addr::from(OWN_SOURCES + number)));
            self.sources = own.collect();
        }
    }

    fn check_ports(&self, connections: u32, ports: u32) -> Result<(), AddressError> {
        let sources = self.sources.len().max(1);
        let destinations = self.destinations.len();
        let room = sources as u64 * destinations as u64 * u64::from(ports);
        if u64::from(connections) <= room {
            return Ok(());
        }
        Err(AddressError::Ports {
            connections,
            sources,
            destinations,
            ports,
        })
    }

    /// Those of the client with this number.
    pub(crate) fn of(&self, client: u32) -> (Option<SocketAddr>, SocketAddr) {
        let client = client as usize;
        let destination = self.destinations[client % self.destinations.len()];
        if self.sources.is_empty() {
            return (None, destination);
        }
        let source = self.sources[client / self.destinations.len() % self.sources.len()];
        (Some(SocketAddr::new(source, 0)), destination)
    }

    pub(crate) fn destinations(&self) -> &[SocketAddr] {
        &self.destinations
    }
}

/// Ports that the kernel gives out to connections: what it says itself.
pub(crate) fn ports_of_kernel() -> u32 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let numbers: Vec<u32> = range
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    match numbers[..] {
        [first, last] if first <= last => last - first + 1,
        // That of a kernel that nobody told otherwise.
        _ => 28_232,
    }
}

/// `host:port` or `host:port-port`.
fn destination(text: &str) -> Result<Vec<SocketAddr>, AddressError> {
    let wrong = || AddressError::Destination(text.to_owned());
    let (host, ports) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let first: u16 = first.parse().map_err(|_| wrong())?;
    let last: u16 = last.parse().map_err(|_| wrong())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if first == 0 || first > last || host.is_empty() {
        return Err(wrong());
    }
    let ip = match host.parse() {
        Ok(ip) => ip,
        Err(_) => (host, first)
            .to_socket_addrs()
            .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|error| AddressError::Name(host.to_owned(), error))?
            .ip(),
    };
    Ok((first..=last)
        .map(|port| SocketAddr::new(ip, port))
        .collect())
}

/// An address, or a range of them of version 4.
fn source(text: &str) -> Result<Vec<IpAddr>, AddressError> {
    let wrong = || AddressError::Source(text.to_owned());
    let Some((first, last)) = text.split_once('-') else {
        return Ok(vec![text.parse().map_err(|_| wrong())?]);
    };
    let first: Ipv4Addr = first.trim().parse().map_err(|_| wrong())?;
    let last: Ipv4Addr = last.trim().parse().map_err(|_| wrong())?;
    let (first, last) = (u32::from(first), u32::from(last));
    if first > last || last - first >= 1 << 16 {
        return Err(wrong());
    }
    Ok((first..=last)
        .map(|ip| IpAddr::V4(Ipv4Addr::from(ip)))
        .collect())
}

impl fmt::Display for AddressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination(text) => write!(
                formatter,
                "target.addresses: {text:?} is no address with a port, as 127.0.0.1:1883, \
                 broker.example:1883-1886 or [::1]:1883"
            ),
            Self::Name(name, error) => {
                write!(
                    formatter,
                    "target.addresses: nobody knows a host {name:?} ({error})"
                )
            }
            Self::Source(text) => write!(
                formatter,
                "target.sources: {text:?} is no address of this host, as 10.0.0.5, nor a range \
                 of up to 65,536, as 127.0.1.1-127.0.1.50"
            ),
            Self::Ports {
                connections,
                sources,
                destinations,
                ports,
            } => write!(
                formatter,
                "{connections} connections need more ports than there are: {sources} source \
                 addresses × {destinations} destinations × {ports} ports of \
                 net.ipv4.ip_local_port_range. Name more source addresses (--source), let the \
                 server listen at more ports (--target 127.0.0.1:1883-1886), or widen the range"
            ),
        }
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn addresses(to: &[&str], from: &[&str], connections: u32) -> Result<Addresses, AddressError> {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        Addresses::new(&owned(to), &owned(from), connections, 28_232)
    }

    #[test]
    fn texts_mean_addresses() {
        let read = |text: &str| {
            destination(text).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            read("127.0.0.1:1883").expect("it is one"),
            ["127.0.0.1:1883"]
        );
        assert_eq!(
            read("[::1]:5-6").expect("it is one"),
            ["[::1]:5", "[::1]:6"]
        );
        for wrong in [
            "127.0.0.1",
            "127.0.0.1:0",
            ":1883",
            "127.0.0.1:6-5",
            "127.0.0.1:x",
            "127.0.0.1:99999",
        ] {
            assert!(
                matches!(read(wrong), Err(AddressError::Destination(_))),
                "{wrong}"
            );
        }
        assert!(matches!(
            read("no.such.host.invalid:1883"),
            Err(AddressError::Name(..))
        ));
        assert_eq!(source("127.0.1.1-127.0.1.50").expect("it is one").len(), 50);
        for wrong in ["x", "127.0.1.9-127.0.1.1", "0.0.0.0-9.0.0.0"] {
            assert!(source(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_million_to_loopback_is_spread_evenly() {
        let addresses = addresses(&["127.0.0.1:1883-1886"], &[], 1_000_000).expect("there is room");
        let mut pairs = HashMap::new();
        for client in 0..1_000_000 {
            *pairs.entry(addresses.of(client)).or_insert(0_u32) += 1;
        }
        assert_eq!(pairs.len(), 200);
        assert!(pairs.values().all(|&count| count == 5_000));
    }

    #[test]
    fn few_clients_take_what_the_kernel_gives_them() {
        let addresses = addresses(&["127.0.0.1:1883"], &[], 5_000).expect("there is room");
        assert_eq!(addresses.of(4_999).0, None);
    }

    #[test]
    fn too_few_ports_are_told_with_their_sum() {
        let error = addresses(&["10.0.0.9:1883"], &["10.0.0.5"], 28_233).expect_err("one too many");
        assert_eq!(
            error.to_string(),
            "28233 connections need more ports than there are: 1 source addresses × 1 \
             destinations × 28232 ports of net.ipv4.ip_local_port_range. Name more source \
             addresses (--source), let the server listen at more ports (--target \
             127.0.0.1:1883-1886), or widen the range"
        );
        assert!(addresses(&["10.0.0.9:1883"], &["10.0.0.5"], 28_232).is_ok());
    }
}
