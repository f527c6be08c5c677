//! A broker that is wrong when it is told to be: MQTT 3.1.1, QoS 0, all get everything.
//!
//! It reads and writes bytes by itself, so that what the generator takes for right is seen
//! by other eyes as well.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use twox_hash::XxHash3_64;

/// What is wrong with the message of this number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not delivered.
    Drop,
    /// It is delivered twice.
    Twice,
    /// It is delivered behind the next one.
    Swap,
    /// A bit of it is turned.
    Turn,
    /// It says that it is of another run.
    OtherRun,
    /// It is delivered under another topic's name.
    Misroute,
    /// It is delivered under a name that no topic has.
    Rename,
    /// All connections are closed instead.
    Close,
}

/// Where the message stands whose fault it is.
pub(crate) const FAULTY: u32 = 100;

struct Shared {
    fault: Option<Fault>,
    subscribers: Vec<TcpStream>,
    publishers: Vec<TcpStream>,
    messages: u32,
    held: Option<Vec<u8>>,
}

/// Serves for as long as the test runs; the address is where.
pub(crate) fn start(fault: Option<Fault>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    let shared = Arc::new(Mutex::new(Shared {
        fault,
        subscribers: Vec::new(),
        publishers: Vec::new(),
        messages: 0,
        held: None,
    }));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = Arc::clone(&shared);
            // Clients come and go.
            thread::spawn(move || drop(serve(stream, &shared)));
        }
    });
    address
}

fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let lock = || shared.lock().expect("nobody panics with it");
    loop {
        let packet = read_packet(&mut stream)?;
        match packet[0] >> 4 {
            1 => {
                stream.write_all(&[0x20, 2, 0, 0])?;
                lock().publishers.push(stream.try_clone()?);
            }
            8 => {
                let body = body(&packet);
                stream.write_all(&[0x90, 3, body[0], body[1], 0])?;
                lock().subscribers.push(stream.try_clone()?);
            }
            3 => lock().publish(packet),
            12 => stream.write_all(&[0xD0, 0])?,
            _ => return Ok(()),
        }
    }
}

impl Shared {
    fn publish(&mut self, mut packet: Vec<u8>) {
        self.messages += 1;
        let fault = self.fault.filter(|_| self.messages == FAULTY);
        let payload_at = payload_at(&packet);
        match fault {
            None => (),
            Some(Fault::Drop) => return,
            Some(Fault::Twice) => self.deliver(&packet),
            Some(Fault::Swap) => {
                self.held = Some(packet);
                return;
            }
            Some(Fault::Turn) => *packet.last_mut().expect("it is not empty") ^= 0x40,
            Some(Fault::OtherRun) => {
                let payload = &mut packet[payload_at..];
                payload[8] ^= 1;
                let number = |at: usize| {
                    u64::from(u32::from_le_bytes(
                        payload[at..at + 4].try_into().expect("four"),
                    ))
                };
                let seed = number(8) << 32 | number(16);
                let checksum = XxHash3_64::oneshot_with_seed(seed, &payload[8..]);
                payload[..8].copy_from_slice(&checksum.to_le_bytes());
            }
            // The last digit of the topic's number.
            Some(Fault::Misroute) => packet[payload_at - 1] ^= 1,
            Some(Fault::Rename) => packet[payload_at - 1] ^= 2,
            Some(Fault::Close) => {
                for stream in self.subscribers.drain(..).chain(self.publishers.drain(..)) {
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                }
            }
        }
        self.deliver(&packet);
        if let Some(held) = self.held.take() {
            self.deliver(&held);
        }
    }

    fn deliver(&mut self, packet: &[u8]) {
        // Who has left gets nothing.
        self.subscribers
            .retain_mut(|stream| stream.write_all(packet).is_ok());
    }
}

/// Where the body begins, behind type and length.
fn body_at(packet: &[u8]) -> usize {
    1 + packet[1..]
        .iter()
        .position(|byte| byte & 0x80 == 0)
        .expect("a length ends")
        + 1
}

fn body(packet: &[u8]) -> &[u8] {
    &packet[body_at(packet)..]
}

fn payload_at(packet: &[u8]) -> usize {
    let at = body_at(packet);
    at + 2 + usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
}

fn read_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut packet = vec![0];
    stream.read_exact(&mut packet)?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        packet.push(byte[0]);
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let begins = packet.len();
    packet.resize(begins + length, 0);
    stream.read_exact(&mut packet[begins..])?;
    Ok(packet)
}
