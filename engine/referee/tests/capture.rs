//! A packet capture gives the trace that its bytes are.

mod support;

use ringcast_referee::capture::{self, CaptureError};
use ringcast_referee::{Event, Referee, Scope, What};
use support::*;

const PORT: u16 = 1883;
const SYN: u8 = 2;
const FIN: u8 = 1;
const RESET: u8 = 4;
const ACK: u8 = 16;

/// The first number of either direction: so near the end that it wraps.
const FIRST: u32 = u32::MAX - 4;

struct Segment {
    client: u16,
    to_server: bool,
    flags: u8,
    offset: u32,
    data: Vec<u8>,
}

fn segment(to_server: bool, flags: u8, offset: u32, data: impl Into<Vec<u8>>) -> Segment {
    Segment {
        client: 40_000,
        to_server,
        flags,
        offset,
        data: data.into(),
    }
}

/// An IPv4 packet on loopback, as the link layers "raw" and "Ethernet" have it.
fn frame(segment: &Segment, ethernet: bool) -> Vec<u8> {
    let (from, to) = if segment.to_server {
        (segment.client, PORT)
    } else {
        (PORT, segment.client)
    };
    let mut tcp = [from.to_be_bytes(), to.to_be_bytes()].concat();
    tcp.extend(FIRST.wrapping_add(segment.offset).to_be_bytes());
    tcp.extend([0, 0, 0, 0, 0x50, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(&segment.data);
    let mut packet = if ethernet {
        [[0u8; 12].as_slice(), &[8, 0]].concat()
    } else {
        Vec::new()
    };
    packet.extend([0x45, 0]);
    packet.extend(u16::try_from(20 + tcp.len()).unwrap().to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    packet.extend(tcp);
    if ethernet {
        // Short frames are padded, which is no part of the packet.
        packet.resize(packet.len().max(60), 0xee);
    }
    packet
}

/// A pcap file of raw packets, a millisecond apart.
fn pcap(segments: &[Segment]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (place, segment) in (0..).zip(segments) {
        let frame = frame(segment, false);
        let length = u32::try_from(frame.len()).unwrap();
        for word in [1_700_000_000, place * 1000, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// A pcapng file of Ethernet frames, in nanoseconds, a millisecond apart.
fn pcapng(segments: &[Segment]) -> Vec<u8> {
    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(12 + body.len()).unwrap().to_le_bytes();
        [&kind.to_le_bytes(), &length, body, &length].concat()
    }
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let mut file = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    // Option 9: the resolution is 10 to the power of -9; option 0 ends the list.
    file.extend(block(1, &words(&[1, 65_535, 9 | 1 << 16, 9, 0])));
    for (place, segment) in (0u64..).zip(segments) {
        let mut frame = frame(segment, true);
        let length = u32::try_from(frame.len()).unwrap();
        frame.resize(frame.len().next_multiple_of(4), 0);
        let ticks = 1_700_000_000_000_000_000u64 + place * 1_000_000;
        let (high, low) = ((ticks >> 32) as u32, ticks as u32);
        let mut body = words(&[0, high, low, length, length]);
        body.extend(frame);
        file.extend(block(6, &body));
    }
    file
}

/// A connection with a segment that was lost and sent again, and one seen twice.
fn conversation() -> Vec<Segment> {
    let connect = v4("a").bytes();
    let (first, second) = connect.split_at(5);
    let length = u32::try_from(connect.len()).unwrap();
    vec![
        segment(true, SYN, 0, []),
        segment(false, SYN | ACK, 0, []),
        segment(true, ACK, 1, []),
        segment(true, ACK, 6, second),
        segment(true, ACK, 6, second),
        segment(true, ACK, 1, first),
        segment(true, ACK, 1, connect.clone()),
        segment(false, ACK, 1, connack(4, false, 0, &[])),
        segment(true, ACK | FIN, 1 + length, disconnect(0)),
        segment(false, ACK | FIN, 5, []),
    ]
}

fn events() -> Vec<Event> {
    let connect = v4("a").bytes();
    [
        (0, What::Opened),
        (5, What::ToServer(connect[..5].to_vec())),
        (5, What::ToServer(connect[5..].to_vec())),
        (7, What::ToClient(connack(4, false, 0, &[]))),
        (8, What::ToServer(disconnect(0))),
        (8, What::ClosedByClient),
        (9, What::ClosedByServer),
    ]
    .into_iter()
    .map(|(millis, what)| Event {
        at_nanos: millis * 1_000_000,
        connection: 1,
        what,
    })
    .collect()
}

#[test]
fn both_formats_give_the_bytes_in_order() {
    for file in [pcap(&conversation()), pcapng(&conversation())] {
        let captured = capture::read(&file[..], PORT).unwrap();
        assert_eq!(captured.events, events());
        assert_eq!((captured.headless, captured.gaps), (0, 0));
        let report = Referee::judge(Scope::whole(), &captured.events);
        assert!(report.violations().is_empty(), "{report}");
    }
}

#[test]
fn a_reset_ends_both_directions() {
    let mut segments = conversation();
    segments.truncate(8);
    segments.push(segment(true, RESET, 9, []));
    segments.push(segment(false, ACK, 5, pingresp()));
    let captured = capture::read(&pcap(&segments)[..], PORT).unwrap();
    assert_eq!(captured.events.last().unwrap().what, What::Reset);
}

#[test]
fn what_is_not_complete_is_left_out_and_counted() {
    let mut segments = conversation();
    // Of one more the middle is missing, of another the beginning; the third is elsewhere.
    for (client, part) in [(40_001, 0..3), (40_001, 3..4), (40_002, 5..8)] {
        for mut segment in conversation().drain(part) {
            segment.client = client;
            segments.push(segment);
        }
    }
    let captured = capture::read(&pcap(&segments)[..], PORT).unwrap();
    assert_eq!(captured.events, events());
    assert_eq!((captured.headless, captured.gaps), (1, 1));
    let elsewhere = capture::read(&pcap(&segments)[..], PORT + 1).unwrap();
    assert_eq!(elsewhere.events, []);
}

#[test]
fn what_is_no_capture() {
    let error = |file: &[u8]| capture::read(file, PORT).unwrap_err();
    assert_eq!(
        error(b"nothing of the kind, but long enough to tell"),
        CaptureError::Format
    );
    let whole = pcap(&conversation());
    assert_eq!(error(&whole[..whole.len() - 1]), CaptureError::Short);
    let mut link = whole.clone();
    link[20] = 195;
    assert_eq!(error(&link), CaptureError::Link(195));
}
