//! How the coordinator and the parts of other processes speak: a line of JSON for each
//! thing said, over TCP.

use crate::part::{News, Order};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// The first thing that a part says: another program that happens to call is none.
const GREETING: &str = concat!("ringcast-loadgen ", env!("CARGO_PKG_VERSION"));

/// A part of another process, as the coordinator has it.
#[derive(Debug)]
pub(crate) struct Remote {
    stream: TcpStream,
}

impl Remote {
    /// Takes in a process that has joined; what it tells goes to `news`, under this number.
    pub(crate) fn accept(
        stream: TcpStream,
        number: usize,
        news: Sender<(usize, News)>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let greeting = lines.next().transpose()?.unwrap_or_default();
        if greeting != GREETING {
            let says = format!(
                "who joined says {greeting:?} instead of {GREETING:?}: run the same version everywhere"
            );
            return Err(io::Error::other(says));
        }
        let read = move || {
            for line in lines.map_while(Result::ok) {
                let Ok(told) = serde_json::from_str(&line) else {
                    break;
                };
                if news.send((number, told)).is_err() {
                    return;
                }
            }
            // Nobody waits for it any more.
            let _ = news.send((number, News::Gone));
        };
        thread::Builder::new()
            .name(format!("part-{number}"))
            .spawn(read)?;
        Ok(Self { stream })
    }

    /// Tells it what to do. That it is gone is told by its reader.
    pub(crate) fn tell(&mut self, order: &Order) {
        let _ = write_line(&mut self.stream, order);
    }
}

/// Joins a run: its orders, and where to tell what comes of them.
pub(crate) fn join(address: &str) -> io::Result<(Receiver<Order>, TcpStream)> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    writeln!(&stream, "{GREETING}")?;
    let lines = BufReader::new(stream.try_clone()?).lines();
    let (orders, inbox) = channel();
    let read = move || read_lines(lines, &orders);
    thread::Builder::new()
        .name("orders".to_owned())
        .spawn(read)?;
    Ok((inbox, stream))
}

fn read_lines<T: DeserializeOwned>(
    lines: impl Iterator<Item = io::Result<String>>,
    to: &Sender<T>,
) {
    for line in lines.map_while(Result::ok) {
        let Ok(item) = serde_json::from_str(&line) else {
            return;
        };
        if to.send(item).is_err() {
            return;
        }
    }
}

/// Writes something as a line.
pub(crate) fn write_line(mut stream: impl Write, item: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(item)?;
    line.push(b'\n');
    stream.write_all(&line)
}
