//! One message to the other core and back, over one TCP connection: the least that
//! an answer takes.

use super::Cores;
use super::fan_out::MESSAGE_BYTES;
use crate::clock::{Times, now_nanos};
use crate::error::Error;
use crate::report::Figure;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// Round trips that are over before figures begin.
const WARM_UP: u64 = 100;

/// Goes on for so many nanoseconds. Both ends sleep in the kernel until something
/// comes, or ask again and again.
pub(crate) fn run(cores: Cores, is_spinning: bool, nanos: u64) -> Result<Vec<Figure>, Error> {
    round_trips(cores, is_spinning, nanos).map_err(Error::system("ping-pong over TCP"))
}

fn round_trips(cores: Cores, is_spinning: bool, nanos: u64) -> io::Result<Vec<Figure>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(is_spinning)?;
    }
    thread::scope(|scope| {
        // Ends when the client's socket is closed.
        let echo = scope.spawn(move || {
            cores.server.pin();
            let mut message = [0; MESSAGE_BYTES];
            while read(&mut server, &mut message)? {
                server.write_all(&message)?;
            }
            io::Result::Ok(())
        });
        let asker = scope.spawn(move || {
            cores.probe.pin();
            let mut times = Times::new();
            let mut message = [0; MESSAGE_BYTES];
            let begin = now_nanos();
            let mut trips = 0_u64;
            let mut now = begin;
            while now < begin + nanos || times.count() == 0 {
                let sent = now_nanos();
                message[..8].copy_from_slice(&trips.to_le_bytes());
                client.write_all(&message)?;
                if !read(&mut client, &mut message)? {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                now = now_nanos();
                if message[..8] != trips.to_le_bytes() {
                    return Err(io::Error::new(ErrorKind::InvalidData, "another message"));
                }
                trips += 1;
                if trips > WARM_UP {
                    times.record(now - sent);
                }
            }
            Ok(times)
        });
        let times = asker.join().expect("does not panic")?;
        echo.join().expect("does not panic")?;
        Ok(vec![
            Figure::new("p50", "ns", times.percentile(50.0)),
            Figure::new("p99", "ns", times.percentile(99.0)),
        ])
    })
}

/// Reads a whole message; `false` if the other end closed instead.
fn read(stream: &mut TcpStream, message: &mut [u8]) -> io::Result<bool> {
    let mut done = 0;
    while done < message.len() {
        match stream.read(&mut message[done..]) {
            Ok(0) => return Ok(false),
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
