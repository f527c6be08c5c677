//! Bytes on their way to the kernel, by client.
//!
//! Only who has something to say has a buffer: it is given back when the kernel has taken
//! all of it, which mostly is within the turn.

use ringcast_wire::{ConnectionKey, Failure, Reason, Wire};

/// What all clients of a thread have to say.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// By client: its buffer, or [`NONE`].
    places: Vec<u32>,
    buffers: Vec<Buffer>,
    /// Buffers that nobody has.
    free: Vec<u32>,
    /// Buffers to be sent.
    waiting: Vec<u32>,
    failed: Vec<Failure>,
}

#[derive(Debug)]
struct Buffer {
    key: ConnectionKey,
    bytes: Vec<u8>,
    /// Whether the kernel has no room for it, until it says so.
    is_blocked: bool,
}

const NONE: u32 = u32::MAX;

/// A buffer that has grown larger is not kept.
const KEPT_BYTES_MAX: usize = 256 << 10;

impl Outbox {
    pub(crate) fn new(clients: u32) -> Self {
        Self {
            places: vec![NONE; clients as usize],
            buffers: Vec::new(),
            free: Vec::new(),
            waiting: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Where to append what a client says next.
    #[inline]
    pub(crate) fn buffer(&mut self, key: ConnectionKey) -> &mut Vec<u8> {
        let client = key.index() as usize;
        let place = self.places[client];
        if place != NONE {
            return &mut self.buffers[place as usize].bytes;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.buffers.push(Buffer {
                key,
                bytes: Vec::new(),
                is_blocked: false,
            });
            self.buffers.len() as u32 - 1
        });
        self.places[client] = place;
        self.waiting.push(place);
        let buffer = &mut self.buffers[place as usize];
        buffer.key = key;
        &mut buffer.bytes
    }

    /// Bytes that a client still has to say.
    pub(crate) fn bytes(&self, client: u32) -> usize {
        match self.places[client as usize] {
            NONE => 0,
            place => self.buffers[place as usize].bytes.len(),
        }
    }

    /// There is room for this client again.
    pub(crate) fn unblock(&mut self, client: u32) {
        let place = self.places[client as usize];
        if place != NONE && self.buffers[place as usize].is_blocked {
            self.buffers[place as usize].is_blocked = false;
            self.waiting.push(place);
        }
    }

    /// What a client still had to say is not said.
    pub(crate) fn forget(&mut self, client: u32) {
        let place = self.places[client as usize];
        if place != NONE {
            self.waiting.retain(|&waiting| waiting != place);
            self.give_back(place);
        }
    }

    /// Sends what is there, and returns how many bytes the kernel took; none if there was
    /// nothing to send.
    pub(crate) fn flush(&mut self, wire: &mut impl Wire) -> Option<u64> {
        if self.waiting.is_empty() {
            return None;
        }
        let buffers = &self.buffers;
        let sends: Vec<_> = self
            .waiting
            .iter()
            .map(|&place| {
                let buffer = &buffers[place as usize];
                (buffer.key, &*buffer.bytes)
            })
            .collect();
        self.failed.clear();
        wire.send_each(&sends, &mut self.failed);
        let mut sent: u64 = sends.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        for failure in &self.failed {
            let place = &mut self.waiting[failure.place as usize];
            let buffer = &mut self.buffers[*place as usize];
            sent -= (buffer.bytes.len() - failure.sent as usize) as u64;
            if failure.reason == Reason::Blocked {
                buffer.bytes.drain(..failure.sent as usize);
                buffer.is_blocked = true;
                *place = NONE;
            }
        }
        for place in std::mem::take(&mut self.waiting) {
            if place != NONE {
                self.give_back(place);
            }
        }
        Some(sent)
    }

    /// Hands what is there to another, who says whether it took it.
    pub(crate) fn hand_over(&mut self, mut take: impl FnMut(ConnectionKey, &[u8]) -> bool) {
        for place in std::mem::take(&mut self.waiting) {
            let buffer = &self.buffers[place as usize];
            if take(buffer.key, &buffer.bytes) {
                self.give_back(place);
            } else {
                self.waiting.push(place);
            }
        }
    }

    fn give_back(&mut self, place: u32) {
        let buffer = &mut self.buffers[place as usize];
        self.places[buffer.key.index() as usize] = NONE;
        buffer.is_blocked = false;
        buffer.bytes.clear();
        buffer.bytes.shrink_to(KEPT_BYTES_MAX);
        self.free.push(place);
    }
}
