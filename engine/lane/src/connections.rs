//! What each connection awaits. Pure: completions in, events and orders out.
//!
//! ```text
//!   Vacant ─adopt─► Open ─close Polite─► AwaitingPeer ─its end, or time─► AwaitingKernel ─►
//!                     └────close Abrupt────────────────────────────────►        all answered:
//!                                                                              Gone, Vacant
//! ```
//!
//! A record is eight bytes; with its places in the two queues a connection costs
//! sixteen. No queue holds a connection twice, so neither outgrows the table.

use crate::lane::Completion;
use crate::request::Request;
use bitflags::bitflags;
use ringcast_wire::{Close, ConnectionKey, Event};
use std::collections::VecDeque;

/// All connections of a shard.
pub(crate) struct Connections {
    records: Box<[Record]>,
    /// Who has events that were not told yet.
    eventful: VecDeque<u32>,
    /// Who has something to be asked of the kernel.
    waiting: VecDeque<u32>,
}

#[derive(Clone, Copy)]
struct Record {
    generation: u32,
    state: State,
    marks: Marks,
    /// What has to be asked of the kernel.
    wanted: Requests,
    /// What the kernel has not answered yet.
    owed: Requests,
}

/// Named for what a connection awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be adopted.
    Vacant,
    /// Whatever comes.
    Open,
    /// The end of a peer that was told ours.
    AwaitingPeer,
    /// The last answers of the kernel.
    AwaitingKernel,
}

/// What can happen to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    Adopted,
    Readable,
    PollEnded,
    /// Something was thrown away, and there may be more.
    Discarded,
    /// The peer sends no more, or the connection is broken.
    PeerEnded,
    LingerOver,
    Closed(Close),
    Settled,
}

bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Marks: u8 {
        const READABLE = 1 << 0;
        const WRITABLE = 1 << 1;
        const CLOSED = 1 << 2;
        const GONE = 1 << 3;
        /// It stands in the queue of those who wait for their orders.
        const WAITING = 1 << 5;
        /// It stands in the queue of those with events.
        const EVENTFUL = 1 << 6;
        /// A send failed, and room was not told since.
        const BLOCKED = 1 << 7;

        /// All that is told; of one connection in this order.
        const EVENTS = 0b1111;
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Requests: u8 {
        const POLL = 1 << 0;
        const SHUTDOWN = 1 << 1;
        const LINGER = 1 << 2;
        const DISCARD = 1 << 3;
        const CLOSE = 1 << 4;
    }
}

/// What is to be asked of the kernel for one connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) key: ConnectionKey,
    pub(crate) requests: Requests,
    /// What to give up first, when the descriptor is closed.
    pub(crate) cancel: Requests,
}

/// Where a happening leads, and what has to be asked for then.
const fn transition(state: State, happening: Happening) -> (State, Requests) {
    use Happening as H;
    use State as S;
    let nothing = Requests::empty();
    match (state, happening) {
        (S::Vacant, H::Adopted) => (S::Open, Requests::POLL),
        (S::Open | S::AwaitingPeer, H::PollEnded) => (state, Requests::POLL),
        (S::Open, H::Closed(Close::Polite)) => (
            S::AwaitingPeer,
            Requests::SHUTDOWN
                .union(Requests::LINGER)
                .union(Requests::DISCARD),
        ),
        (S::AwaitingPeer, H::Readable | H::Discarded) => (state, Requests::DISCARD),
        (S::Open | S::AwaitingPeer, H::Closed(Close::Abrupt))
        | (S::AwaitingPeer, H::PeerEnded | H::LingerOver) => (S::AwaitingKernel, Requests::CLOSE),
        (S::AwaitingKernel, H::Settled) => (S::Vacant, nothing),
        _ => (state, nothing),
    }
}

impl Connections {
    pub(crate) fn new(most: u32) -> Self {
        let vacant = Record {
            generation: 0,
            state: State::Vacant,
            marks: Marks::empty(),
            wanted: Requests::empty(),
            owed: Requests::empty(),
        };
        let most = most as usize;
        Self {
            records: vec![vacant; most].into(),
            eventful: VecDeque::with_capacity(most),
            waiting: VecDeque::with_capacity(most),
        }
    }

    /// To be asked before anything is done for an adoption.
    ///
    /// # Panics
    /// If there is no such index, or it is taken.
    pub(crate) fn check_free(&self, key: ConnectionKey) {
        let record = &self.records[key.index() as usize];
        assert!(
            record.state == State::Vacant && !record.marks.intersects(Marks::EVENTS),
            "an index is adopted again only after its Gone"
        );
    }

    /// A connection that is being made is told to be writable when it is.
    ///
    /// # Panics
    /// As [`Self::check_free`].
    pub(crate) fn adopt(&mut self, key: ConnectionKey, connecting: bool) {
        self.check_free(key);
        let record = &mut self.records[key.index() as usize];
        record.generation = key.generation();
        record.marks.set(Marks::BLOCKED, connecting);
        self.happened(key.index(), Happening::Adopted);
    }

    /// Until it is gone a connection may be closed again, which may hasten its end.
    ///
    /// # Panics
    /// If the connection is not there.
    pub(crate) fn close(&mut self, key: ConnectionKey, how: Close) {
        let record = &mut self.records[key.index() as usize];
        let is_there = record.state != State::Vacant || record.marks.contains(Marks::GONE);
        assert!(
            record.generation == key.generation() && is_there,
            "only a connection that is there can be closed"
        );
        record.marks &= Marks::WAITING | Marks::EVENTFUL | Marks::GONE;
        self.happened(key.index(), Happening::Closed(how));
    }

    /// Whether sends and receives may name this key.
    pub(crate) fn is_open(&self, key: ConnectionKey) -> bool {
        let record = &self.records[key.index() as usize];
        record.generation == key.generation() && record.state == State::Open
    }

    /// A send found no room. To be called as its completion is read: the very next
    /// one may tell that there is room again.
    pub(crate) fn blocked(&mut self, key: ConnectionKey) {
        let record = &mut self.records[key.index() as usize];
        record.marks.insert(Marks::BLOCKED);
    }

    /// The kernel's answer to what it was asked about a connection.
    pub(crate) fn answered(&mut self, request: Request, completion: &Completion) {
        let answered = match request {
            Request::Poll => Requests::POLL,
            Request::Shutdown => Requests::SHUTDOWN,
            Request::Linger => Requests::LINGER,
            Request::Discard => Requests::DISCARD,
            Request::Close => Requests::CLOSE,
            Request::Cancel | Request::Send | Request::Receive => return,
        };
        let key = ConnectionKey::unpack(completion.mark);
        let index = key.index();
        let record = &mut self.records[index as usize];
        debug_assert_eq!(
            record.generation,
            key.generation(),
            "all was answered before"
        );
        if !completion.more_follow() {
            record.owed.remove(answered);
        }
        match request {
            Request::Poll => self.polled(index, completion),
            Request::Discard => self.discarded(index, completion),
            Request::Linger => self.happened(index, Happening::LingerOver),
            _ => (),
        }
        let record = &self.records[index as usize];
        if (record.owed | record.wanted).is_empty() {
            self.happened(index, Happening::Settled);
        }
        self.line_up(index);
    }

    fn polled(&mut self, index: u32, completion: &Completion) {
        let broken = i32::from(libc::POLLHUP | libc::POLLERR);
        let input = i32::from(libc::POLLIN | libc::POLLRDHUP) | broken;
        // What can't be watched can't be served: let it be found broken.
        let ready = completion.result.unwrap_or(broken);
        let record = &mut self.records[index as usize];
        if record.state == State::Open {
            let mut marks = record.marks;
            if ready & input != 0 {
                marks.insert(Marks::READABLE);
            }
            if ready & broken != 0 {
                marks.insert(Marks::CLOSED);
            } else if ready & i32::from(libc::POLLOUT) != 0 && marks.contains(Marks::BLOCKED) {
                marks.remove(Marks::BLOCKED);
                marks.insert(Marks::WRITABLE);
            }
            self.mark(index, marks);
        } else if ready & input != 0 {
            self.happened(index, Happening::Readable);
        }
        if completion.result.is_ok() && !completion.more_follow() {
            self.happened(index, Happening::PollEnded);
        }
    }

    fn discarded(&mut self, index: u32, completion: &Completion) {
        match completion.result {
            Err(libc::EAGAIN) => (),
            Ok(0) | Err(_) => self.happened(index, Happening::PeerEnded),
            // Perhaps that was all: the next look costs less than to know.
            Ok(_) => self.happened(index, Happening::Discarded),
        }
    }

    /// The one place where states change.
    fn happened(&mut self, index: u32, happening: Happening) {
        let record = &mut self.records[index as usize];
        let (state, requests) = transition(record.state, happening);
        if record.state != state && state == State::AwaitingKernel {
            record.wanted = Requests::empty();
        }
        record.wanted |= requests;
        let settled = record.state != state && state == State::Vacant;
        record.state = state;
        if settled {
            let marks = record.marks | Marks::GONE;
            self.mark(index, marks);
        }
        self.line_up(index);
    }

    /// What was asked for is not asked for again before it was answered.
    fn line_up(&mut self, index: u32) {
        let record = &mut self.records[index as usize];
        let may_be_asked = record.wanted.difference(record.owed);
        if !may_be_asked.is_empty() && !record.marks.contains(Marks::WAITING) {
            record.marks.insert(Marks::WAITING);
            self.waiting.push_back(index);
        }
    }

    fn mark(&mut self, index: u32, marks: Marks) {
        let record = &mut self.records[index as usize];
        record.marks = marks;
        if marks.intersects(Marks::EVENTS) && !marks.contains(Marks::EVENTFUL) {
            record.marks.insert(Marks::EVENTFUL);
            self.eventful.push_back(index);
        }
    }

    /// What the kernel is to be asked next; it owes the answers from now on.
    pub(crate) fn next_order(&mut self) -> Option<Order> {
        let index = self.waiting.pop_front()?;
        let record = &mut self.records[index as usize];
        record.marks.remove(Marks::WAITING);
        let requests = record.wanted.difference(record.owed);
        record.wanted.remove(requests);
        let cancel = if requests.contains(Requests::CLOSE) {
            record.owed & (Requests::POLL | Requests::LINGER)
        } else {
            Requests::empty()
        };
        record.owed |= requests;
        Some(Order {
            key: ConnectionKey::unpack(u64::from(record.generation) << 32 | u64::from(index)),
            requests,
            cancel,
        })
    }

    pub(crate) fn has_orders(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many connections have events to tell, at most.
    pub(crate) fn eventful(&self) -> usize {
        self.eventful.len()
    }

    /// Appends at most so many events.
    pub(crate) fn tell(&mut self, events: &mut Vec<Event>, most: usize) {
        let mut room = most;
        while let Some(&index) = self.eventful.front() {
            let record = &mut self.records[index as usize];
            let key = ConnectionKey::unpack(u64::from(record.generation) << 32 | u64::from(index));
            for mark in Marks::EVENTS.iter() {
                if record.marks.contains(mark) {
                    if room == 0 {
                        return;
                    }
                    room -= 1;
                    record.marks.remove(mark);
                    events.push(match mark {
                        Marks::READABLE => Event::Readable(key),
                        Marks::WRITABLE => Event::Writable(key),
                        Marks::CLOSED => Event::Closed(key),
                        _ => Event::Gone(key),
                    });
                }
            }
            record.marks.remove(Marks::EVENTFUL);
            self.eventful.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Connections, Happening, Marks, Order, Requests, State, transition};
    use crate::lane::Completion;
    use crate::request::Request;
    use proptest::prelude::*;
    use ringcast_wire::{Close, ConnectionKey, Event};

    /// All that leads anywhere; everything else changes nothing.
    const TABLE: &str = "\
Adopted in Vacant → Open POLL
Readable in AwaitingPeer → AwaitingPeer DISCARD
PollEnded in Open → Open POLL
PollEnded in AwaitingPeer → AwaitingPeer POLL
Discarded in AwaitingPeer → AwaitingPeer DISCARD
PeerEnded in AwaitingPeer → AwaitingKernel CLOSE
LingerOver in AwaitingPeer → AwaitingKernel CLOSE
Closed(Abrupt) in Open → AwaitingKernel CLOSE
Closed(Abrupt) in AwaitingPeer → AwaitingKernel CLOSE
Closed(Polite) in Open → AwaitingPeer SHUTDOWN LINGER DISCARD
Settled in AwaitingKernel → Vacant
";

    #[test]
    fn every_happening_in_every_state() {
        use Happening as H;
        let mut table = String::new();
        for happening in [
            H::Adopted,
            H::Readable,
            H::PollEnded,
            H::Discarded,
            H::PeerEnded,
            H::LingerOver,
            H::Closed(Close::Abrupt),
            H::Closed(Close::Polite),
            H::Settled,
        ] {
            for state in [
                State::Vacant,
                State::Open,
                State::AwaitingPeer,
                State::AwaitingKernel,
            ] {
                let (next, asked) = transition(state, happening);
                if (next, asked) != (state, Requests::empty()) {
                    let asked: Vec<_> = asked.iter_names().map(|(name, _)| name).collect();
                    let line = format!("{happening:?} in {state:?} → {next:?} {}", asked.join(" "));
                    table += line.trim_end();
                    table += "\n";
                }
            }
        }
        assert_eq!(table, TABLE);
    }

    /// The kernel, in so far as connections know it: it owes answers, and gives them
    /// when it likes.
    #[derive(Default)]
    struct Kernel {
        owed: Vec<(Request, ConnectionKey)>,
    }

    impl Kernel {
        fn take(&mut self, order: &Order) {
            for (bit, request) in [
                (Requests::POLL, Request::Poll),
                (Requests::SHUTDOWN, Request::Shutdown),
                (Requests::LINGER, Request::Linger),
                (Requests::DISCARD, Request::Discard),
                (Requests::CLOSE, Request::Close),
            ] {
                if order.requests.contains(bit) {
                    assert!(
                        !self.owed.contains(&(request, order.key)),
                        "{request:?} was asked for and not answered"
                    );
                    self.owed.push((request, order.key));
                }
                if order.requests.contains(Requests::CLOSE) {
                    let armed = [Request::Poll, Request::Linger].contains(&request)
                        && self.owed.contains(&(request, order.key));
                    assert_eq!(order.cancel.contains(bit), armed, "{request:?}");
                }
            }
        }
    }

    const INDICES: u32 = 3;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Adopt(u32),
        Close(u32, Close),
        Blocked(u32),
        Order,
        Answer {
            which: usize,
            result: i32,
            more: bool,
        },
        Tell(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let result = prop_oneof![
            0..0x2020,
            Just(-libc::EAGAIN),
            Just(-libc::ECANCELED),
            Just(-libc::ECONNRESET)
        ];
        let how = prop_oneof![Just(Close::Abrupt), Just(Close::Polite)];
        prop_oneof![
            (0..INDICES).prop_map(Step::Adopt),
            (0..INDICES, how).prop_map(|(index, how)| Step::Close(index, how)),
            (0..INDICES).prop_map(Step::Blocked),
            Just(Step::Order),
            (0..8_usize, result, any::<bool>()).prop_map(|(which, result, more)| Step::Answer {
                which,
                result,
                more
            }),
            (0..4_usize).prop_map(Step::Tell),
        ]
    }

    /// What a shard knows of an index.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Known {
        Free,
        Open,
        Closed,
    }

    proptest! {
        /// Whatever the kernel answers and whenever: each connection that is closed is
        /// gone once, after the kernel's last answer; nothing is told of it meanwhile;
        /// and no queue outgrows the table.
        #[test]
        fn each_connection_ends_once(steps in prop::collection::vec(step(), 0..400)) {
            let mut connections = Connections::new(INDICES);
            let mut kernel = Kernel::default();
            let mut keys = (0..INDICES).map(ConnectionKey::first).collect::<Vec<_>>();
            let mut known = [Known::Free; INDICES as usize];
            // Then everything is closed, answered and told.
            let mut rest = (0..INDICES).map(|index| Step::Close(index, Close::Abrupt)).collect::<Vec<_>>();
            for _ in 0..20 {
                rest.extend([Step::Order, Step::Tell(9)]);
                let answer = Step::Answer { which: 0, result: 0, more: false };
                rest.extend([answer; 8]);
            }
            for step in steps.into_iter().chain(rest) {
                match step {
                    Step::Adopt(index) if known[index as usize] == Known::Free => {
                        connections.adopt(keys[index as usize], false);
                        known[index as usize] = Known::Open;
                    }
                    Step::Close(index, how) if known[index as usize] != Known::Free => {
                        connections.close(keys[index as usize], how);
                        known[index as usize] = Known::Closed;
                    }
                    Step::Blocked(index) if known[index as usize] == Known::Open => {
                        connections.blocked(keys[index as usize]);
                    }
                    Step::Order => {
                        if let Some(order) = connections.next_order() {
                            kernel.take(&order);
                        }
                    }
                    Step::Answer { which, result, more } if !kernel.owed.is_empty() => {
                        let which = which % kernel.owed.len();
                        let (request, key) = kernel.owed[which];
                        let more = more && request == Request::Poll;
                        if !more {
                            kernel.owed.swap_remove(which);
                        }
                        let flags = if more { 2 } else { 0 };
                        let completion = Completion::new(request.of(key), result, flags);
                        connections.answered(request, &completion);
                    }
                    Step::Tell(most) => {
                        let mut events = Vec::new();
                        connections.tell(&mut events, most);
                        prop_assert!(events.len() <= most);
                        for event in events {
                            let (Event::Readable(key) | Event::Writable(key)
                            | Event::Closed(key) | Event::Gone(key)) = event;
                            let index = key.index() as usize;
                            prop_assert_eq!(key, keys[index]);
                            if matches!(event, Event::Gone(_)) {
                                prop_assert!(known[index] == Known::Closed);
                                prop_assert!(kernel.owed.iter().all(|(_, owed)| *owed != key));
                                known[index] = Known::Free;
                                keys[index] = key.next();
                            } else {
                                prop_assert!(known[index] == Known::Open);
                            }
                        }
                    }
                    _ => (),
                }
                prop_assert!(connections.eventful.len() <= INDICES as usize);
                prop_assert!(connections.waiting.len() <= INDICES as usize);
                for record in &connections.records {
                    prop_assert!(record.marks.contains(Marks::EVENTFUL) || !record.marks.intersects(Marks::EVENTS));
                }
            }
            prop_assert!(known.iter().all(|known| *known == Known::Free));
        }
    }
}
