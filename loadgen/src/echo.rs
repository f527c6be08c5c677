//! The trivial server that the floor is measured with: it says yes to whoever connects,
//! and sends what any client publishes to all who have subscribed, byte for byte.
//!
//! Nobody comes later and one publishes at a time: it is for one publisher and one
//! subscriber, so there is nothing in it that takes time.

use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Connect, Frame, Kind, PACKET_BYTES_MAX};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// Listens at a free port, and serves so many clients until all have left.
pub(crate) fn start(clients: usize) -> io::Result<(SocketAddr, JoinHandle<io::Result<()>>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let serve = move || serve(&listener, clients);
    let thread = thread::Builder::new()
        .name("echo".to_owned())
        .spawn(serve)?;
    Ok((address, thread))
}

fn serve(listener: &TcpListener, clients: usize) -> io::Result<()> {
    let mut publishers = Vec::new();
    let mut subscribers = Vec::new();
    for _ in 0..clients {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        match welcome(&mut stream)? {
            true => subscribers.push(stream),
            false => publishers.push(stream),
        }
    }
    let mut buffer = vec![0; 64 << 10];
    for mut publisher in publishers {
        loop {
            let count = publisher.read(&mut buffer)?;
            // A goodbye, or the end.
            if count == 0 || buffer[0] >> 4 == Kind::Disconnect as u8 {
                break;
            }
            for subscriber in &mut subscribers {
                subscriber.write_all(&buffer[..count])?;
            }
        }
    }
    Ok(())
}

/// Answers CONNECT, and the SUBSCRIBE of whom its identifier calls a subscriber: whether
/// it is one.
pub(crate) fn welcome(stream: &mut TcpStream) -> io::Result<bool> {
    let input = read_packet(stream)?;
    stream.write_all(&CONNACK)?;
    let subscribes = match Connect::decode(&input, PACKET_BYTES_MAX) {
        Ok(Progress::Done(connect, _)) => connect.client_id.contains(SUBSCRIBER),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    if subscribes {
        let input = read_packet(stream)?;
        let [high, low] = [input[2], input[3]];
        stream.write_all(&[0x90, 3, high, low, 0])?;
    }
    Ok(subscribes)
}

/// MQTT 3.1.1's agreement, without a session.
pub(crate) const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// What is in the identifiers of subscribers only.
const SUBSCRIBER: &str = "-sub-";

/// Reads one packet of a client that says one at a time.
fn read_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    let mut chunk = [0; 512];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(&chunk[..count]);
        match Frame::cut(&input, PACKET_BYTES_MAX) {
            Ok(Progress::Done(..)) => return Ok(input),
            Ok(Progress::Partial { .. }) => (),
            Err(fault) => return Err(io::Error::other(fault)),
        }
    }
}
