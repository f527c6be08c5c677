//! The simulated network: both directions of every connection, as queues of bytes.
//!
//! ```text
//!   model client ── send ──► to_server ── receive ──► shard
//!                ◄─ take ─── to_client ◄── send ─────
//! ```
//!
//! It knows TCP, not MQTT: a direction can end, a connection can be reset, a peer that
//! takes nothing fills its socket. What shards may be told of late, in another order, in
//! parts or not at once, is drawn from a stream of chance, as its [`Faults`] allow. The
//! server's side of it is [`Sockets`](crate::wire::Sockets).

use crate::kind::{Counts, Kind};
use crate::random::{Random, Ratio};
use ringcast_wire::{ConnectionKey, Event, LINGER_MILLIS};

/// Names a connection; no other ever has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// How unkind the network is.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// A send stops though there is room.
    pub short_send: Ratio,
    /// A send is told to come again though there is room.
    pub would_block: Ratio,
    /// A read brings less than there is.
    pub split_read: Ratio,
    /// A read brings nothing though something is there.
    pub empty_read: Ratio,
    /// A read does not say that there is more; an event will.
    pub hidden_input: Ratio,
    /// An event comes late, by up to so many ns.
    pub late_event: Ratio,
    /// See [`Self::late_event`].
    pub late_nanos_max: u64,
    /// The events of one reap are told in another order.
    pub reordered_events: Ratio,
    /// A reap tells something of a connection that had the index before.
    pub stale_event: Ratio,
    /// What a client sent before it reset its connection is lost.
    pub input_lost: Ratio,
    /// A socket can not be adopted.
    pub table_full: Ratio,
}

impl Faults {
    /// None at all.
    pub const NONE: Self = Self {
        short_send: Ratio::NEVER,
        would_block: Ratio::NEVER,
        split_read: Ratio::NEVER,
        empty_read: Ratio::NEVER,
        hidden_input: Ratio::NEVER,
        late_event: Ratio::NEVER,
        late_nanos_max: 1,
        reordered_events: Ratio::NEVER,
        stale_event: Ratio::NEVER,
        input_lost: Ratio::NEVER,
        table_full: Ratio::NEVER,
    };
}

/// What the server's side of a connection did, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The socket took these bytes.
    Bytes(Vec<u8>),
    /// A send was not taken whole.
    Blocked,
    /// What its client had sent was read.
    Read {
        /// All of it, not only the first.
        is_all: bool,
    },
    /// It was closed.
    Closed,
}

/// What a client gets when it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The server sends no more.
    End,
    /// The connection was reset.
    Reset,
}

/// All connections, and what the shards are to be told of them.
#[derive(Debug)]
pub struct Network {
    now_nanos: u64,
    faults: Faults,
    random: Random,
    counts: Counts,
    /// By number; none once both ends have let go.
    pipes: Vec<Option<Pipe>>,
    sides: Vec<Side>,
    tape: Vec<(SocketId, Output)>,
}

/// What one shard sees.
#[derive(Debug, Default)]
struct Side {
    /// By index of their keys.
    sockets: Vec<Option<(ConnectionKey, SocketId)>>,
    /// The key that had an index last.
    last_keys: Vec<Option<ConnectionKey>>,
    events: Vec<Due>,
    /// Those who wait for their peer's end, and until when.
    lingering: Vec<(SocketId, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at_nanos: u64,
    event: Event,
}

/// One connection.
#[derive(Debug)]
struct Pipe {
    to_server: Bytes,
    to_client: Bytes,
    /// Bytes that the server's socket holds.
    capacity: usize,
    client: End,
    server: End,
    /// The shard and key, while it is adopted and was not closed.
    owner: Option<(usize, ConnectionKey)>,
    /// A send was not taken whole, and room was not told since.
    is_blocked: bool,
    /// An event says that input is there.
    is_announced: bool,
}

/// A queue of bytes.
#[derive(Debug, Default)]
struct Bytes {
    bytes: Vec<u8>,
    /// Those before are gone.
    begin: usize,
}

impl Bytes {
    fn all(&self) -> &[u8] {
        &self.bytes[self.begin..]
    }

    fn len(&self) -> usize {
        self.all().len()
    }

    fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    fn push(&mut self, bytes: &[u8]) {
        // Moved seldom enough to cost each byte a step or two.
        if self.begin > self.len() {
            self.bytes.drain(..self.begin);
            self.begin = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn skip(&mut self, count: usize) {
        self.begin += count;
    }

    fn clear(&mut self) {
        self.begin = self.bytes.len();
    }
}

/// How far one end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// It sends no more.
    Finished,
    /// It is not there any more.
    Gone,
    /// It is not there any more, and the other end is told so.
    Reset,
}

/// The most bytes of a client that wait to be read.
const INPUT_BYTES_MAX: usize = 256 * 1024;

impl Network {
    /// For so many shards.
    #[must_use]
    pub fn new(seed: u64, shards: usize, faults: Faults) -> Self {
        Self {
            now_nanos: 0,
            faults,
            random: Random::new(seed, "network", 0),
            counts: Counts::default(),
            pipes: Vec::new(),
            sides: (0..shards).map(|_| Side::default()).collect(),
            tape: Vec::new(),
        }
    }

    /// It is this late.
    pub fn set_now(&mut self, now_nanos: u64) {
        self.now_nanos = now_nanos;
    }

    /// It is like this from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        if !faults.late_event.is_possible() {
            let sides = self.sides.iter_mut();
            let events = sides.flat_map(|side| &mut side.events);
            events.for_each(|due| due.at_nanos = 0);
        }
    }

    /// What was injected so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes what servers' sides did since it was taken last.
    pub fn take_tape(&mut self) -> Vec<(SocketId, Output)> {
        std::mem::take(&mut self.tape)
    }

    /// Connections whose server's side is not closed.
    #[must_use]
    pub fn open(&self) -> Vec<SocketId> {
        let pipes = (0..).zip(&self.pipes);
        let open = pipes.filter(|(_, pipe)| {
            let server = pipe.as_ref().map(|pipe| pipe.server);
            matches!(server, Some(End::Open))
        });
        open.map(|(number, _)| SocketId(number)).collect()
    }

    fn pipe(&mut self, socket: SocketId) -> Option<&mut Pipe> {
        self.pipes.get_mut(socket.0 as usize)?.as_mut()
    }
}

/// What clients do.
impl Network {
    /// A new connection, whose server's socket holds so many bytes.
    pub fn connect(&mut self, capacity: usize) -> SocketId {
        let number = self.pipes.len() as u32;
        self.pipes.push(Some(Pipe {
            to_server: Bytes::default(),
            to_client: Bytes::default(),
            capacity,
            client: End::Open,
            server: End::Open,
            owner: None,
            is_blocked: false,
            is_announced: false,
        }));
        SocketId(number)
    }

    /// Its server's socket holds so many bytes from now on.
    pub fn set_capacity(&mut self, socket: SocketId, capacity: usize) {
        if let Some(pipe) = self.pipe(socket) {
            pipe.capacity = capacity;
        }
        self.tell_room(socket);
    }

    /// A client sends. Returns how many bytes went out.
    pub fn client_sends(&mut self, socket: SocketId, bytes: &[u8]) -> usize {
        let Some(pipe) = self.pipe(socket) else {
            return 0;
        };
        if pipe.client != End::Open {
            return 0;
        }
        if pipe.server != End::Open {
            // It is thrown away at the other end.
            return bytes.len();
        }
        let count = bytes.len().min(INPUT_BYTES_MAX - pipe.to_server.len());
        pipe.to_server.push(&bytes[..count]);
        if count > 0 {
            self.announce(socket);
        }
        count
    }

    /// A client takes what has arrived, at most so many bytes.
    pub fn client_takes(&mut self, socket: SocketId, most: usize) -> Taken {
        let Some(pipe) = self.pipe(socket) else {
            return Taken::End;
        };
        if pipe.to_client.is_empty() {
            return match pipe.server {
                End::Open => Taken::Nothing,
                End::Finished | End::Gone => Taken::End,
                End::Reset => Taken::Reset,
            };
        }
        let count = pipe.to_client.len().min(most);
        let bytes = pipe.to_client.all()[..count].to_vec();
        pipe.to_client.skip(count);
        self.tell_room(socket);
        Taken::Bytes(bytes)
    }

    /// A client sends no more, and goes on receiving.
    pub fn client_finishes(&mut self, socket: SocketId) {
        let Some(pipe) = self.pipe(socket) else {
            return;
        };
        if pipe.client == End::Open {
            pipe.client = End::Finished;
            self.announce(socket);
            self.end_lingering(socket);
        }
    }

    /// A client closes its connection: what it is still sent breaks it.
    pub fn client_closes(&mut self, socket: SocketId) {
        self.client_finishes(socket);
        if let Some(pipe) = self.pipe(socket) {
            pipe.client = End::Gone;
            pipe.to_client.clear();
        }
        self.forget_if_over(socket);
    }

    /// A client breaks its connection.
    pub fn client_resets(&mut self, socket: SocketId) {
        let loses_input = self.random.happens(self.faults.input_lost);
        let Some(pipe) = self.pipe(socket) else {
            return;
        };
        pipe.client = End::Reset;
        pipe.to_client.clear();
        let mut lost = false;
        if loses_input {
            lost = !pipe.to_server.is_empty();
            pipe.to_server.clear();
        }
        if lost {
            self.counts.count(Kind::InputLost);
        }
        self.tell_break(socket);
        self.end_lingering(socket);
        self.forget_if_over(socket);
    }

    fn forget_if_over(&mut self, socket: SocketId) {
        let Some(pipe) = self.pipe(socket) else {
            return;
        };
        let is_left = matches!(pipe.client, End::Gone | End::Reset);
        let is_closed = matches!(pipe.server, End::Gone | End::Reset);
        if is_left && is_closed {
            self.pipes[socket.0 as usize] = None;
        }
    }
}

/// What is told of connections.
impl Network {
    /// When an event is told that happens now.
    fn due_nanos(&mut self) -> u64 {
        if !self.random.happens(self.faults.late_event) {
            return self.now_nanos;
        }
        self.counts.count(Kind::LateEvent);
        self.now_nanos + self.random.below(self.faults.late_nanos_max)
    }

    fn tell(&mut self, shard: usize, event: Event) {
        let at_nanos = self.due_nanos();
        self.sides[shard].events.push(Due { at_nanos, event });
    }

    /// There is input, or its end.
    fn announce(&mut self, socket: SocketId) {
        let Some(pipe) = self.pipe(socket) else {
            return;
        };
        if let Some((shard, key)) = pipe.owner
            && !std::mem::replace(&mut pipe.is_announced, true)
        {
            self.tell(shard, Event::Readable(key));
        }
    }

    /// If a send waits for room, and there is some, that is told.
    fn tell_room(&mut self, socket: SocketId) {
        let Some(pipe) = self.pipe(socket) else {
            return;
        };
        let is_roomy = pipe.to_client.len() < pipe.capacity && pipe.client != End::Reset;
        if let Some((shard, key)) = pipe.owner
            && is_roomy
            && std::mem::take(&mut pipe.is_blocked)
        {
            self.tell(shard, Event::Writable(key));
        }
    }

    fn tell_break(&mut self, socket: SocketId) {
        let Some(pipe) = self.pipe(socket) else {
            return;
        };
        pipe.is_blocked = false;
        if let Some((shard, key)) = pipe.owner {
            // Of room that was on its way nothing is told any more.
            let events = &mut self.sides[shard].events;
            events.retain(|due| due.event != Event::Writable(key));
            self.announce(socket);
            self.tell(shard, Event::Closed(key));
        }
    }
}

/// What the server's side does: see [`Wire`](ringcast_wire::Wire).
impl Network {
    /// All that a connection that nobody adopted has sent, which stays there.
    #[must_use]
    pub fn peek(&self, socket: SocketId) -> Option<(Vec<u8>, bool)> {
        let pipe = self.pipes.get(socket.0 as usize)?.as_ref()?;
        let bytes = pipe.to_server.all().to_vec();
        Some((bytes, pipe.client == End::Open))
    }

    /// The door has read so much.
    pub fn skip(&mut self, socket: SocketId, bytes: usize) {
        if let Some(pipe) = self.pipe(socket) {
            pipe.to_server.skip(bytes);
        }
    }

    /// A connection that nobody adopted is closed.
    pub fn turn_away(&mut self, socket: SocketId) {
        self.close_server(socket, false);
    }

    pub(crate) fn adopt(&mut self, shard: usize, key: ConnectionKey, socket: SocketId) -> bool {
        if self.random.happens(self.faults.table_full) {
            self.counts.count(Kind::TableFull);
            self.close_server(socket, false);
            return false;
        }
        let side = &mut self.sides[shard];
        let index = key.index() as usize;
        if side.sockets.len() <= index {
            side.sockets.resize(index + 1, None);
            side.last_keys.resize(index + 1, None);
        }
        assert_eq!(side.sockets[index], None, "somebody has the index");
        side.sockets[index] = Some((key, socket));
        let Some(pipe) = self.pipe(socket) else {
            // It was broken on its way from the door, and forgotten.
            unreachable!("its server's end is open");
        };
        pipe.owner = Some((shard, key));
        let has_input = !pipe.to_server.is_empty() || pipe.client != End::Open;
        let is_broken = pipe.client == End::Reset;
        if has_input {
            self.announce(socket);
        }
        if is_broken {
            self.tell_break(socket);
        }
        true
    }

    pub(crate) fn reap(&mut self, shard: usize, events: &mut Vec<Event>, most: usize) {
        let now = self.now_nanos;
        let lingering = std::mem::take(&mut self.sides[shard].lingering);
        for (socket, until) in lingering {
            if until > now {
                self.sides[shard].lingering.push((socket, until));
            } else {
                self.end_now(shard, socket);
            }
        }
        let side = &mut self.sides[shard];
        let begin = events.len();
        let mut left = most;
        side.events.retain(|due| {
            let is_told = due.at_nanos <= now && left > 0;
            if is_told {
                left -= 1;
                events.push(due.event);
            }
            !is_told
        });
        if events.len() > begin + 1 && self.random.happens(self.faults.reordered_events) {
            self.counts.count(Kind::ReorderedEvents);
            self.random.shuffle(&mut events[begin..]);
        }
        for event in &events[begin..] {
            match *event {
                Event::Readable(key) => {
                    let socket = self.socket(shard, key);
                    self.pipe(socket).expect("it is open").is_announced = false;
                }
                Event::Gone(key) => {
                    let side = &mut self.sides[shard];
                    side.sockets[key.index() as usize] = None;
                    side.last_keys[key.index() as usize] = Some(key);
                }
                Event::Writable(_) | Event::Closed(_) => {}
            }
        }
        if left > 0 && self.random.happens(self.faults.stale_event) {
            self.tell_stale(shard, events);
        }
    }

    /// Tells something of a connection that is gone, and whose index has another.
    fn tell_stale(&mut self, shard: usize, events: &mut Vec<Event>) {
        let side = &self.sides[shard];
        let keys = side.last_keys.iter().zip(&side.sockets);
        let stale: Vec<_> = keys
            .filter_map(|(last, now)| last.filter(|_| now.is_some()))
            .collect();
        if stale.is_empty() {
            return;
        }
        let key = *self.random.of(&stale);
        self.counts.count(Kind::StaleEvent);
        let event = [
            Event::Readable(key),
            Event::Writable(key),
            Event::Closed(key),
        ];
        events.push(*self.random.of(&event));
    }

    fn socket(&self, shard: usize, key: ConnectionKey) -> SocketId {
        let owner = self.sides[shard].sockets[key.index() as usize];
        let (owner, socket) = owner.expect("the key is in use");
        assert_eq!(owner, key, "an earlier connection's key");
        socket
    }

    /// One read into this buffer: the bytes, and whether there is more; `None` if there is
    /// nothing.
    pub(crate) fn receive(
        &mut self,
        shard: usize,
        key: ConnectionKey,
        buffer: &mut [u8],
    ) -> Arrived {
        let socket = self.socket(shard, key);
        let faults = self.faults;
        let splits = self.random.happens(faults.split_read);
        let sees_nothing = self.random.happens(faults.empty_read);
        let hides = self.random.happens(faults.hidden_input);
        let cut = self.random.word();
        let pipe = self.pipe(socket).expect("it is open");
        let there = pipe.to_server.len();
        if there == 0 {
            return match pipe.client {
                End::Open => Arrived::Nothing,
                End::Finished | End::Gone => Arrived::Bytes(0, false),
                End::Reset => Arrived::Broken,
            };
        }
        if sees_nothing {
            self.counts.count(Kind::EmptyRead);
            self.announce(socket);
            return Arrived::Nothing;
        }
        let mut count = there.min(buffer.len());
        if splits && count > 1 {
            // Of long inputs a few bytes, or nearly all.
            count = 1 + (cut as usize >> 1) % (count - 1);
            if cut & 1 == 0 {
                count = 1 + count % 8;
            }
            count = count.min(there);
            self.counts.count(Kind::SplitRead);
        }
        let pipe = self.pipe(socket).expect("it is open");
        buffer[..count].copy_from_slice(&pipe.to_server.all()[..count]);
        pipe.to_server.skip(count);
        let is_all = pipe.to_server.is_empty();
        self.tape.push((socket, Output::Read { is_all }));
        let pipe = self.pipe(socket).expect("it is open");
        let more = !pipe.to_server.is_empty() || pipe.client != End::Open;
        if more && hides {
            self.counts.count(Kind::HiddenInput);
            self.announce(socket);
            return Arrived::Bytes(count, false);
        }
        Arrived::Bytes(count, more)
    }

    /// One send: how many bytes were taken, and whether the connection is broken.
    pub(crate) fn send(&mut self, shard: usize, key: ConnectionKey, bytes: &[u8]) -> (usize, bool) {
        let socket = self.socket(shard, key);
        let faults = self.faults;
        let stops = self.random.happens(faults.short_send);
        let blocks = self.random.happens(faults.would_block);
        let cut = self.random.word() as usize;
        let pipe = self.pipe(socket).expect("it is open");
        assert!(pipe.owner.is_some(), "it was closed");
        match pipe.client {
            End::Reset => {
                self.tape.push((socket, Output::Blocked));
                return (0, true);
            }
            End::Gone => {
                // Nobody is there to take it, which the peer's host says when it comes.
                pipe.client = End::Reset;
                self.tape.push((socket, Output::Bytes(bytes.to_vec())));
                self.tell_break(socket);
                return (bytes.len(), false);
            }
            End::Open | End::Finished => {}
        }
        let room = pipe.capacity.saturating_sub(pipe.to_client.len());
        let mut count = bytes.len().min(room);
        if blocks && count > 0 {
            count = 0;
            self.counts.count(Kind::WouldBlock);
        } else if stops && count > 1 {
            count = 1 + cut % (count - 1);
            self.counts.count(Kind::ShortSend);
        }
        let pipe = self.pipe(socket).expect("it is open");
        pipe.to_client.push(&bytes[..count]);
        if count > 0 {
            let taken = bytes[..count].to_vec();
            self.tape.push((socket, Output::Bytes(taken)));
        }
        if count < bytes.len() {
            let pipe = self.pipe(socket).expect("it is open");
            pipe.is_blocked = true;
            self.tape.push((socket, Output::Blocked));
            self.tell_room(socket);
        }
        (count, false)
    }

    /// Closes, politely or at once.
    pub(crate) fn close(&mut self, shard: usize, key: ConnectionKey, is_polite: bool) {
        let socket = self.socket(shard, key);
        let now = self.now_nanos;
        let side = &mut self.sides[shard];
        let lingers = side.lingering.iter().any(|(other, _)| *other == socket);
        if lingers {
            if !is_polite {
                self.end_now(shard, socket);
            }
            return;
        }
        let is_gone = side.events.iter().any(|due| due.event == Event::Gone(key));
        if is_gone {
            return;
        }
        // Nothing of what was on its way is told any more.
        side.events.retain(|due| due.event.key() != key);
        let pipe = self.pipe(socket).expect("it is open");
        pipe.owner = None;
        let waits = is_polite && pipe.client == End::Open;
        self.close_server(socket, is_polite);
        if waits {
            let until = now + u64::from(LINGER_MILLIS) * 1_000_000;
            self.sides[shard].lingering.push((socket, until));
        } else {
            self.tell(shard, Event::Gone(key));
        }
    }

    /// The server's end is closed. Input that was not read makes that a reset, unless it
    /// is done politely.
    fn close_server(&mut self, socket: SocketId, is_polite: bool) {
        self.tape.push((socket, Output::Closed));
        let Some(pipe) = self.pipe(socket) else {
            return;
        };
        let breaks = !is_polite && !pipe.to_server.is_empty();
        pipe.server = if breaks { End::Reset } else { End::Gone };
        pipe.owner = None;
        pipe.to_server.clear();
        self.forget_if_over(socket);
    }

    /// The peer of somebody who waits for its end has ended.
    fn end_lingering(&mut self, socket: SocketId) {
        let lingers = |side: &Side| side.lingering.iter().any(|(other, _)| *other == socket);
        let Some(shard) = self.sides.iter().position(lingers) else {
            return;
        };
        self.sides[shard]
            .lingering
            .retain(|(other, _)| *other != socket);
        self.end_now(shard, socket);
    }

    fn end_now(&mut self, shard: usize, socket: SocketId) {
        let side = &mut self.sides[shard];
        side.lingering.retain(|(other, _)| *other != socket);
        let owners = side.sockets.iter().flatten();
        let owner = owners.copied().find(|(_, other)| *other == socket);
        let (key, _) = owner.expect("it is not gone yet");
        self.tell(shard, Event::Gone(key));
    }
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// So many bytes, none if it is the end, and whether there is more.
    Bytes(usize, bool),
    Nothing,
    Broken,
}

trait Keyed {
    fn key(self) -> ConnectionKey;
}

impl Keyed for Event {
    fn key(self) -> ConnectionKey {
        let (Self::Readable(key) | Self::Writable(key) | Self::Closed(key) | Self::Gone(key)) =
            self;
        key
    }
}
