//! The relay for subscribers who want different things. Each says first which topics it
//! wants; a message goes to those who want its topic.
//!
//! What came in one read goes to each of them in one `send()`, as it does where all want
//! everything: the messages of one subscriber are put one behind the other first. So it
//! does what a server may do to spare sends, and nothing that it need not: all messages
//! are equally long, and their topic is a number at a place that never changes.

use super::{Connections, Forward, send};
use crate::probe::TOPIC_AT;
use std::io::{self, Read};
use std::net::TcpStream;

pub(super) struct ByTopic {
    message_bytes: usize,
    /// For each topic the places of those who want it.
    wanted_by: Vec<Vec<usize>>,
    /// The beginning of a message whose end was not there yet.
    rest: Vec<u8>,
    /// For each place what is to be sent there; nothing between two reads.
    outgoing: Vec<Vec<u8>>,
    /// The places that have something to send.
    dirty: Vec<usize>,
}

impl ByTopic {
    pub(super) fn new(message_bytes: usize) -> Self {
        Self {
            message_bytes,
            wanted_by: Vec::new(),
            rest: Vec::new(),
            outgoing: Vec::new(),
            dirty: Vec::new(),
        }
    }
}

impl Forward for ByTopic {
    /// Reads how many topics it wants, and which: see `routed_introduction` of the probe.
    fn meet(&mut self, place: usize, stream: &mut TcpStream) -> io::Result<()> {
        let mut number = || {
            let mut bytes = [0; 4];
            stream
                .read_exact(&mut bytes)
                .map(|()| u32::from_le_bytes(bytes) as usize)
        };
        for _ in 0..number()? {
            let topic = number()?;
            let topics = self.wanted_by.len().max(topic + 1);
            self.wanted_by.resize(topics, Vec::new());
            self.wanted_by[topic].push(place);
        }
        self.outgoing.push(Vec::new());
        Ok(())
    }

    fn forward(&mut self, _: usize, bytes: &[u8], connections: &mut Connections) {
        self.rest.extend_from_slice(bytes);
        let messages = self.rest.chunks_exact(self.message_bytes);
        for message in messages.clone() {
            let topic = message[TOPIC_AT..].first_chunk().expect("has a stamp");
            let wanted_by = self.wanted_by.get(u32::from_le_bytes(*topic) as usize);
            for &place in wanted_by.into_iter().flatten() {
                let outgoing = &mut self.outgoing[place];
                if outgoing.is_empty() {
                    self.dirty.push(place);
                }
                outgoing.extend_from_slice(message);
            }
        }
        let rest_bytes = messages.remainder().len();
        self.rest.drain(..self.rest.len() - rest_bytes);
        for place in self.dirty.drain(..) {
            send(&self.outgoing[place], &mut connections[place]);
            self.outgoing[place].clear();
        }
    }
}
