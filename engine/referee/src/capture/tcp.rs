//! TCP segments to events: in order, without what came twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use crate::capture::Captured;
use crate::trace::{Event, What};

/// A client's address and port, and the server's address: its port is known.
type Key = (IpAddr, u16, IpAddr);

pub(super) struct Connections {
    port: u16,
    began: Option<u64>,
    open: HashMap<Key, Connection>,
    next: u64,
    headless: HashSet<Key>,
    events: Vec<Event>,
    /// Numbers of connections of which bytes are missing.
    gaps: HashSet<u64>,
}

struct Connection {
    number: u64,
    to_server: Direction,
    to_client: Direction,
}

#[derive(Default)]
struct Direction {
    /// The number of the next byte; `None` before SYN.
    next: Option<u32>,
    /// What came too early, by its distance from the first byte that is missing.
    early: BTreeMap<u32, (Vec<u8>, bool)>,
    ended: bool,
}

struct Segment<'a> {
    key: Key,
    to_server: bool,
    sequence: u32,
    syn: bool,
    fin: bool,
    reset: bool,
    acknowledges: bool,
    data: &'a [u8],
}

impl Connections {
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            began: None,
            open: HashMap::new(),
            next: 1,
            headless: HashSet::new(),
            events: Vec::new(),
            gaps: HashSet::new(),
        }
    }

    /// One IP packet, captured at `nanos`.
    pub(super) fn on_packet(&mut self, nanos: u64, packet: &[u8]) {
        let Some(segment) = segment(packet, self.port) else {
            return;
        };
        let at_nanos = nanos.saturating_sub(*self.began.get_or_insert(nanos));
        if segment.syn && segment.to_server && !segment.acknowledges {
            self.on_syn(at_nanos, &segment);
            return;
        }
        let Some(connection) = self.open.get_mut(&segment.key) else {
            self.headless.insert(segment.key);
            return;
        };
        let number = connection.number;
        let mut seen = |what| {
            self.events.push(Event {
                at_nanos,
                connection: number,
                what,
            });
        };
        if segment.reset {
            seen(What::Reset);
            connection.to_server.ended = true;
            connection.to_client.ended = true;
            return;
        }
        let direction = if segment.to_server {
            &mut connection.to_server
        } else {
            &mut connection.to_client
        };
        if segment.syn {
            direction
                .next
                .get_or_insert(segment.sequence.wrapping_add(1));
            return;
        }
        for (data, fin) in direction.take(&segment) {
            if !data.is_empty() {
                seen(if segment.to_server {
                    What::ToServer(data)
                } else {
                    What::ToClient(data)
                });
            }
            if fin {
                seen(if segment.to_server {
                    What::ClosedByClient
                } else {
                    What::ClosedByServer
                });
            }
        }
    }

    fn on_syn(&mut self, at_nanos: u64, segment: &Segment<'_>) {
        let first = segment.sequence.wrapping_add(1);
        if let Some(old) = self.open.get(&segment.key) {
            if old.to_server.next == Some(first) || !old.to_server.ended {
                // Sent twice, or seen twice.
                return;
            }
            self.close(&segment.key);
        }
        let connection = Connection {
            number: self.next,
            to_server: Direction {
                next: Some(first),
                ..Direction::default()
            },
            to_client: Direction::default(),
        };
        self.events.push(Event {
            at_nanos,
            connection: self.next,
            what: What::Opened,
        });
        self.next += 1;
        self.open.insert(segment.key, connection);
    }

    fn close(&mut self, key: &Key) {
        if let Some(old) = self.open.remove(key)
            && !(old.to_server.early.is_empty() && old.to_client.early.is_empty())
        {
            self.gaps.insert(old.number);
        }
    }

    pub(super) fn finish(mut self) -> Captured {
        let keys: Vec<_> = self.open.keys().copied().collect();
        for key in keys {
            self.close(&key);
        }
        let gaps = self.gaps;
        self.events
            .retain(|event| !gaps.contains(&event.connection));
        Captured {
            events: self.events,
            headless: self.headless.len(),
            gaps: gaps.len(),
        }
    }
}

impl Direction {
    /// What is in order now: bytes, and whether the end follows them.
    fn take(&mut self, segment: &Segment<'_>) -> Vec<(Vec<u8>, bool)> {
        let mut taken = Vec::new();
        let Some(mut next) = self.next.filter(|_| !self.ended) else {
            return taken;
        };
        if segment.data.is_empty() && !segment.fin {
            return taken;
        }
        self.early
            .entry(segment.sequence)
            .and_modify(|(data, fin)| {
                // Of two that begin alike, the longer one says more.
                if data.len() < segment.data.len() {
                    *data = segment.data.to_vec();
                }
                *fin |= segment.fin;
            })
            .or_insert_with(|| (segment.data.to_vec(), segment.fin));
        loop {
            // Sequence numbers wrap; what is less than half the circle behind is old.
            let begun = |sequence: u32| next.wrapping_sub(sequence) < 1 << 31;
            let Some(sequence) = self.early.keys().copied().find(|sequence| begun(*sequence))
            else {
                break;
            };
            let (data, fin) = self.early.remove(&sequence).unwrap_or_default();
            let known = next.wrapping_sub(sequence) as usize;
            let fresh = data.get(known..).unwrap_or(&[]).to_vec();
            let whole = known <= data.len();
            next = next.wrapping_add(u32::try_from(fresh.len()).unwrap_or(0));
            let ends = fin && whole;
            self.ended |= ends;
            if !fresh.is_empty() || ends {
                taken.push((fresh, ends));
            }
            if ends {
                self.early.clear();
            }
        }
        self.next = Some(next);
        taken
    }
}

/// The TCP segment in an IP packet, if it is to or from the server's port. The lengths
/// are those of the IP header, so that a packet that was captured in part has a gap.
fn segment(packet: &[u8], port: u16) -> Option<Segment<'_>> {
    let (source, destination, tcp) = match packet.first()? >> 4 {
        4 => {
            let head = usize::from(packet[0] & 0x0f) * 4;
            let length = usize::from(two(packet, 2)?);
            // Offload can leave the length of a large packet at 0.
            let end = if length == 0 {
                packet.len()
            } else {
                length.min(packet.len())
            };
            let fragment = two(packet, 6)? & 0x3fff;
            if *packet.get(9)? != 6 || fragment != 0 {
                return None;
            }
            let address = |at: usize| {
                let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
                Some(IpAddr::from(bytes))
            };
            (address(12)?, address(16)?, packet.get(head..end)?)
        }
        6 => {
            let length = usize::from(two(packet, 4)?);
            let end = if length == 0 {
                packet.len()
            } else {
                (40 + length).min(packet.len())
            };
            if *packet.get(6)? != 6 {
                return None;
            }
            let address = |at: usize| {
                let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::from(bytes))
            };
            (address(8)?, address(24)?, packet.get(40..end)?)
        }
        _ => return None,
    };
    let (from, to) = (two(tcp, 0)?, two(tcp, 2)?);
    let head = usize::from(tcp.get(12)? >> 4) * 4;
    let flags = *tcp.get(13)?;
    let to_server = to == port;
    let key = match (to_server, from == port) {
        (true, _) => (source, from, destination),
        (false, true) => (destination, to, source),
        (false, false) => return None,
    };
    Some(Segment {
        key,
        to_server,
        sequence: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        syn: flags & 0x02 != 0,
        fin: flags & 0x01 != 0,
        reset: flags & 0x04 != 0,
        acknowledges: flags & 0x10 != 0,
        data: tcp.get(head..)?,
    })
}

fn two(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
