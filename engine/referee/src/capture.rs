//! Packet captures (pcap, pcapng) as traces: `tcpdump -i lo -w FILE port 1883`.
//!
//! Only connections whose beginning was captured are taken, since without its CONNECT
//! nothing that a connection carries can be judged; and of those only the complete
//! ones, since a gap could make an innocent server look guilty. [`Captured`] counts
//! what was left out. Not for encrypted connections, nor for WebSocket.

mod tcp;

use std::fmt;
use std::io::Read;

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use crate::trace::Event;
use tcp::Connections;

/// What a capture tells.
#[derive(Debug, Default)]
pub struct Captured {
    /// The trace of all complete connections to the server's port.
    pub events: Vec<Event>,
    /// Connections that began before the capture.
    pub headless: usize,
    /// Connections of which bytes are missing.
    pub gaps: usize,
}

/// Why a file is no capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// It could not be read.
    Read,
    /// It is neither pcap nor pcapng.
    Format,
    /// It ends in the middle of a packet.
    Short,
    /// Its link layer is not one that this knows.
    Link(i32),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::Read => write!(out, "the capture could not be read"),
            CaptureError::Format => write!(out, "this is neither pcap nor pcapng"),
            CaptureError::Short => write!(out, "the capture ends in the middle of a packet"),
            CaptureError::Link(link) => write!(out, "link layer {link} is not supported"),
        }
    }
}

impl std::error::Error for CaptureError {}

/// Larger than any packet: on loopback they may have 64 KiB and more.
const BUFFER_BYTES: usize = 1 << 20;

const SECOND: u64 = 1_000_000_000;

/// Reads a capture of traffic with a server on `port`.
///
/// # Errors
/// What is wrong with the file.
pub fn read(input: impl Read + Send, port: u16) -> Result<Captured, CaptureError> {
    let mut reader = create_reader(BUFFER_BYTES, input).map_err(|error| fault(&error))?;
    let mut connections = Connections::new(port);
    // Of pcap one, of pcapng one for each interface: link layer and units per second.
    let mut links: Vec<(Linktype, u64)> = Vec::new();
    loop {
        match reader.next() {
            Ok((length, block)) => {
                block_of(&block, &mut links, &mut connections)?;
                reader.consume(length);
                continue;
            }
            Err(PcapError::Eof) => return Ok(connections.finish()),
            Err(PcapError::Incomplete(_)) => {}
            Err(error) => return Err(fault(&error)),
        }
        if reader.reader_exhausted() {
            return Err(CaptureError::Short);
        }
        reader.refill().map_err(|error| fault(&error))?;
    }
}

fn fault<I>(error: &PcapError<I>) -> CaptureError {
    match error {
        PcapError::ReadError => CaptureError::Read,
        PcapError::UnexpectedEof | PcapError::Incomplete(_) => CaptureError::Short,
        _ => CaptureError::Format,
    }
}

fn block_of(
    block: &PcapBlockOwned<'_>,
    links: &mut Vec<(Linktype, u64)>,
    connections: &mut Connections,
) -> Result<(), CaptureError> {
    let (interface, ticks, data) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let fine = header.is_nanosecond_precision();
            *links = vec![(header.network, if fine { SECOND } else { 1_000_000 })];
            return Ok(());
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            links.clear();
            return Ok(());
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            let resolution = interface.ts_resolution().ok_or(CaptureError::Format)?;
            links.push((interface.linktype, resolution));
            return Ok(());
        }
        PcapBlockOwned::Legacy(packet) => {
            let units = links.first().map_or(1, |(_, units)| *units);
            let ticks = u64::from(packet.ts_sec) * units + u64::from(packet.ts_usec);
            (0, ticks, packet.data)
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            (packet.if_id as usize, ticks, packet.packet_data())
        }
        PcapBlockOwned::NG(_) => return Ok(()),
    };
    let (link, units) = *links.get(interface).ok_or(CaptureError::Format)?;
    let nanos = u128::from(ticks) * u128::from(SECOND) / u128::from(units);
    if let Some(packet) = network_layer(link, data)? {
        connections.on_packet(u64::try_from(nanos).unwrap_or(u64::MAX), packet);
    }
    Ok(())
}

/// The IP packet in a frame, if one is there.
fn network_layer(link: Linktype, frame: &[u8]) -> Result<Option<&[u8]>, CaptureError> {
    let head = match link {
        Linktype(0 | 108) => 4,
        Linktype(1) if frame.get(12..14) == Some(&[0x81, 0]) => 18,
        Linktype(1) => 14,
        Linktype(12 | 14 | 101 | 228 | 229) => 0,
        Linktype(113) => 16,
        Linktype(276) => 20,
        Linktype(other) => return Err(CaptureError::Link(other)),
    };
    Ok(frame.get(head..))
}
