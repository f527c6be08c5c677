//! The lanes of a shard, as its [`Wire`].

use crate::connections::{Connections, Requests};
use crate::entries::{self, Descriptor};
use crate::files::Files;
use crate::lane::{Completion, Lane, SetUpError, Size};
use crate::places::Places;
use crate::probe::lanes_for;
use crate::request::{self, Request};
use io_uring::squeue;
use nix::sys::resource::{Resource, getrlimit};
use ringcast_wire::{Close, ConnectionKey, Event, Failure, Reason, Received, Wire};
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{Ordering, fence};

/// How large the lanes of a shard are.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many connections there can be at a time.
    pub connections: u32,
    /// Entries that one system call submits, 1 to 32,768, made a power of two.
    pub submission_entries: u32,
    /// Completions that wait to be read; at least four times as many, so that a batch
    /// never overflows them.
    pub completion_entries: u32,
    /// Connections of one lane; with direct descriptors no more than the process may
    /// have files open, which is how the kernel bounds each table.
    pub lane_connections: u32,
    /// What connections are to the kernel.
    pub files: Files,
}

impl Settings {
    /// Lanes for so many connections, as this kernel serves them best. With direct
    /// descriptors each has as many as the soft limit of the process allows (`ulimit -n`); see
    /// [`raise_descriptor_limit`](crate::probe::raise_descriptor_limit).
    ///
    /// # Errors
    /// If the kernel refuses to say what it serves best.
    pub fn for_connections(connections: u32) -> Result<Self, SetUpError> {
        let files = Files::of_this_kernel().map_err(SetUpError::at("try a ring"))?;
        // The call fails only for a resource that is none; the least is then assumed.
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        Ok(Self {
            connections,
            submission_entries: 256,
            completion_entries: 4096,
            lane_connections: lanes_for(connections, files, soft).connections,
            files,
        })
    }
}

/// All sockets of a shard, over as many rings as they need.
///
/// A connection's index tells its lane and its direct descriptor there: lanes fill up
/// one after another if low indices are used first.
pub struct Lanes {
    lanes: Vec<Lane>,
    places: Places,
    connections: Connections,
    /// How many sends or receives go into one system call.
    chunk: usize,
    /// How many connections are begun, discarded from or closed in one reap.
    orders_max: usize,
    /// Whether a batch was begun and not finished.
    in_batch: bool,
    overflows: u64,
    /// Where input goes that nobody wants; never read.
    discarded: Box<[u8]>,
    /// A ring belongs to the thread that made it.
    not_send: PhantomData<*const ()>,
}

/// How often the lanes are entered and read in one [`Wire::reap`].
const ROUNDS_MAX: u32 = 64;

/// How many connections one [`Wire::reap`] begins, discards from or closes at most, and
/// a quarter of the completion queue: each takes tens of microseconds, and peers who keep it busy
/// must not keep the caller.
const ORDERS_MAX: usize = 64;

impl Lanes {
    /// # Errors
    /// If the kernel refuses a ring or its table. It is asked again for some seconds
    /// when it lacks memory: that of a process that ended comes back late.
    ///
    /// # Panics
    /// If the settings contradict each other.
    pub fn new(settings: &Settings) -> Result<Self, SetUpError> {
        assert!(
            settings.lane_connections > 0
                && settings.completion_entries / 4 >= settings.submission_entries,
            "a batch must find room for its completions"
        );
        let size = Size {
            submission_entries: settings.submission_entries,
            completion_entries: settings.completion_entries,
            descriptors: match settings.files {
                Files::Direct => settings.lane_connections,
                Files::Plain => 0,
            },
        };
        let count = settings.connections.div_ceil(settings.lane_connections);
        let lanes = (0..count).map(|_| Lane::open(size));
        Ok(Self {
            lanes: lanes.collect::<Result<_, _>>()?,
            places: Places::new(
                settings.connections,
                settings.lane_connections,
                settings.files,
            ),
            connections: Connections::new(settings.connections),
            chunk: settings.submission_entries as usize,
            orders_max: ORDERS_MAX.min(settings.completion_entries as usize / 4),
            in_batch: false,
            overflows: 0,
            discarded: vec![0; entries::DISCARD_BYTES].into(),
            not_send: PhantomData,
        })
    }

    /// How many rings there are.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// How often a completion queue was found to have overflowed. Nothing is lost
    /// then, but connections have to be watched anew: a larger queue costs less.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// Adopts a socket that is being connected, see [`connect`](crate::connect). It
    /// is [`Event::Writable`] when it is connected and [`Event::Closed`] when that
    /// failed; a receive then tells why.
    ///
    /// # Errors
    /// Those of [`Wire::adopt`].
    pub fn adopt_connecting(&mut self, key: ConnectionKey, socket: OwnedFd) -> io::Result<()> {
        self.take(key, socket, true)
    }

    fn take(&mut self, key: ConnectionKey, socket: OwnedFd, connecting: bool) -> io::Result<()> {
        // Before the kernel puts it in another's place.
        self.connections.check_free(key);
        if let Some((slot, socket)) = self.places.keep(key, socket) {
            self.lanes[self.places.lane(key)].register(slot, socket)?;
        }
        self.connections.adopt(key, connecting);
        Ok(())
    }

    /// Makes completions ring this eventfd while the thread is parked.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn ring_at(&mut self, eventfd: BorrowedFd<'_>) -> Result<(), SetUpError> {
        for lane in &mut self.lanes {
            lane.let_ring(false);
            lane.ring_at(eventfd)?;
        }
        Ok(())
    }

    /// To be asked before the thread waits for the eventfd: from now on what happens
    /// rings it. Returns whether it may wait; it may not if something happened already.
    /// Whoever else rings it is to be looked at after this.
    pub fn park(&mut self) -> bool {
        for lane in &mut self.lanes {
            lane.let_ring(true);
        }
        // What happened before the kernel saw that it may ring is seen below.
        fence(Ordering::SeqCst);
        let may = self.is_quiet();
        if !may {
            self.unpark();
        }
        may
    }

    /// After the wait: nothing rings the eventfd any more.
    pub fn unpark(&mut self) {
        for lane in &mut self.lanes {
            lane.let_ring(false);
        }
    }

    /// Whether a reap would bring nothing.
    fn is_quiet(&mut self) -> bool {
        let mut lanes = self.lanes.iter_mut();
        self.connections.eventful() == 0
            && !self.connections.has_orders()
            && lanes.all(|lane| !lane.has_queued() && !lane.holds_back() && !lane.has_completions())
    }

    /// Sends `of(place)` for each place below `count`.
    fn send<'a>(
        &mut self,
        count: usize,
        of: impl Fn(usize) -> (ConnectionKey, &'a [u8]),
        failed: &mut Vec<Failure>,
    ) {
        for start in (0..count).step_by(self.chunk) {
            let end = count.min(start + self.chunk);
            let entry = |descriptor, place| entries::send(descriptor, of(place).1, place);
            // SAFETY: the bytes are borrowed until this function returns, and by then the
            // kernel has taken the entries: `finish_batch` sees to that. A send that must
            // not wait is over when the kernel has taken it.
            unsafe { self.queue_batch(start..end, |place| of(place).0, entry) };
            self.finish_batch(|connections, completion| {
                let place = request::place(completion.mark);
                let (key, bytes) = of(place);
                let Some((sent, reason)) = send_failure(completion, bytes.len()) else {
                    return;
                };
                if reason == Reason::Blocked {
                    connections.blocked(key);
                }
                failed.push(Failure {
                    key,
                    place: u32::try_from(place).expect("it fit the mark"),
                    sent,
                    reason,
                });
            });
        }
    }

    /// Queues `entry(descriptor, place)` for the connection `of(place)` at each of these
    /// places: a chunk at most.
    ///
    /// From here to the end of [`Self::finish_batch`] entries are queued whose memory is
    /// only borrowed. Who panics in between leaves lanes that refuse to go on.
    ///
    /// # Safety
    /// What the entries point to stays until `finish_batch` has returned, which is called
    /// next.
    ///
    /// # Panics
    /// If one of the connections is not open.
    unsafe fn queue_batch(
        &mut self,
        places: Range<usize>,
        of: impl Fn(usize) -> ConnectionKey,
        mut entry: impl FnMut(Descriptor, usize) -> squeue::Entry,
    ) {
        assert!(!self.in_batch, "a batch was begun and not finished");
        self.in_batch = true;
        let mut places = places.map(|place| (place, of(place))).peekable();
        while let Some((_, first)) = places.peek() {
            let lane = self.places.lane(*first);
            let mut queue = self.lanes[lane].batch();
            while let Some((place, key)) = places.next_if(|(_, key)| self.places.lane(*key) == lane)
            {
                assert!(self.connections.is_open(key), "it is not there");
                let entry = entry(self.places.descriptor(key), place);
                // SAFETY: the caller's.
                unsafe { queue.push(&entry) };
            }
        }
    }

    /// Submits the batch. What is over then is told to `each`, what else happened to
    /// the connections, in the order in which it did.
    fn finish_batch(&mut self, mut each: impl FnMut(&mut Connections, &Completion)) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.has_queued()) {
            lane.submit();
            loop {
                lane.drain(|completion| match Request::from_mark(completion.mark) {
                    Request::Send | Request::Receive => each(&mut self.connections, completion),
                    request => self.connections.answered(request, completion),
                });
                // Once the queue has overflowed, later completions wait behind those
                // that found no room, the failures of this batch among them.
                if !lane.has_overflowed() {
                    break;
                }
                self.overflows += 1;
                lane.enter();
            }
        }
        self.in_batch = false;
    }

    /// Asks the kernel for what connections want, at most this many, and returns how
    /// many more may be asked for.
    fn place_orders(&mut self, most: usize) -> usize {
        for placed in 0..most {
            let Some(order) = self.connections.next_order() else {
                return most - placed;
            };
            let lane = self.places.lane(order.key);
            let descriptor = self.places.descriptor(order.key);
            if order.requests.contains(Requests::CLOSE) {
                self.places.give_up(order.key);
            }
            for entry in entries::of_order(&order, descriptor, &mut self.discarded) {
                // SAFETY: entries point to a static, or to the buffer for what is
                // thrown away, which nobody reads and which lives as long as the
                // rings. They close with the lanes, before it is dropped.
                unsafe { self.lanes[lane].push(&entry) };
            }
        }
        0
    }
}

/// What a send took, and why not all; `None` if it took all.
fn send_failure(completion: &Completion, wanted: usize) -> Option<(u32, Reason)> {
    match completion.result {
        Ok(sent) if sent as usize == wanted => None,
        Ok(sent) => Some((sent.cast_unsigned(), Reason::Blocked)),
        Err(libc::EAGAIN) => Some((0, Reason::Blocked)),
        Err(errno) => Some((0, Reason::Broken(kind(errno)))),
    }
}

fn kind(errno: i32) -> io::ErrorKind {
    io::Error::from_raw_os_error(errno).kind()
}

impl Wire for Lanes {
    type Socket = OwnedFd;

    fn adopt(&mut self, key: ConnectionKey, socket: OwnedFd) -> io::Result<()> {
        self.take(key, socket, false)
    }

    fn reap(&mut self, events: &mut Vec<Event>, most: usize) {
        assert!(!self.in_batch, "a batch was begun and not finished");
        let mut orders = self.orders_max;
        for _ in 0..ROUNDS_MAX {
            orders = self.place_orders(orders);
            let mut quiet = true;
            for lane in &mut self.lanes {
                lane.submit();
                if lane.holds_back() {
                    self.overflows += u64::from(lane.has_overflowed());
                    lane.enter_for_more();
                }
                lane.drain(|completion| {
                    let request = Request::from_mark(completion.mark);
                    self.connections.answered(request, completion);
                });
                quiet &= !lane.may_hold_much();
            }
            if quiet || self.connections.eventful() >= most {
                break;
            }
        }
        self.connections.tell(events, most);
    }

    fn receive(&mut self, from: &[ConnectionKey], got: &mut Received) {
        got.begin(from);
        for start in (0..from.len()).step_by(self.chunk) {
            let chunk = start..from.len().min(start + self.chunk);
            let mut unanswered = chunk.len();
            let mut buffers = got.buffers().skip(start);
            let entry = |descriptor, place| {
                let buffer = buffers.next().expect("there is one for each");
                entries::receive(descriptor, buffer, place)
            };
            // SAFETY: the buffers are borrowed until this function returns, each by one
            // entry, and it does not return before all receives were answered.
            unsafe { self.queue_batch(chunk, |place| from[place], entry) };
            drop(buffers);
            self.finish_batch(|_, completion| {
                unanswered -= 1;
                let place = request::place(completion.mark);
                match completion.result {
                    Ok(count) => got.arrived(place, count as usize, completion.input_left()),
                    Err(libc::EAGAIN) => (),
                    Err(errno) => got.failed(place, kind(errno)),
                }
            });
            assert_eq!(unanswered, 0, "a receive that never waits is over at once");
        }
    }

    fn send_same(&mut self, to: &[ConnectionKey], bytes: &[u8], failed: &mut Vec<Failure>) {
        self.send(to.len(), |place| (to[place], bytes), failed);
    }

    fn send_each(&mut self, sends: &[(ConnectionKey, &[u8])], failed: &mut Vec<Failure>) {
        self.send(sends.len(), |place| sends[place], failed);
    }

    fn close(&mut self, key: ConnectionKey, how: Close) {
        self.connections.close(key, how);
    }
}

#[cfg(test)]
mod tests {
    use super::{Lanes, Settings};
    use ringcast_wire::{ConnectionKey, Wire};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn lanes_for_two() -> Lanes {
        let settings = Settings::for_connections(2).expect("there is io_uring");
        Lanes::new(&settings).expect("there is io_uring")
    }

    /// What was queued before the panic points to bytes that are gone.
    #[test]
    fn after_a_panic_in_a_batch_nothing_is_submitted() {
        let mut lanes = lanes_for_two();
        let bytes = vec![1; 100];
        let beyond = [ConnectionKey::first(0), ConnectionKey::first(2)];
        let mut failed = Vec::new();
        let mut panics = |call: &mut dyn FnMut(&mut Lanes)| {
            let caught = catch_unwind(AssertUnwindSafe(|| call(&mut lanes)));
            let panic = caught.expect_err("it can not go on");
            panic.downcast_ref::<&str>().map(ToString::to_string)
        };
        panics(&mut |lanes| lanes.send_same(&beyond, &bytes, &mut failed));
        let refused = Some("a batch was begun and not finished".to_owned());
        assert_eq!(panics(&mut |lanes| lanes.reap(&mut Vec::new(), 1)), refused);
        let again = panics(&mut |lanes| lanes.send_same(&beyond, &bytes, &mut failed));
        assert_eq!(again, refused);
        assert_eq!(failed, []);
    }
}
