//! The lanes of a shard, as its [`Wire`].

use crate::connections::{Connections, Order, Requests};
use crate::files::Files;
use crate::lane::{Completion, Lane, SetUpError, Size};
use crate::probe::lanes_for;
use crate::request::{self, Request};
use io_uring::types::{Fd, Fixed, Timespec};
use io_uring::{opcode, squeue};
use nix::sys::resource::{Resource, getrlimit};
use ringcast_wire::{Close, ConnectionKey, Event, Failure, LINGER_MILLIS, Reason, Received, Wire};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
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
    lane_connections: u32,
    /// Where connections have plain descriptors, each by its index.
    plain: Box<[Option<OwnedFd>]>,
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
/// a quarter of the completion queue: each takes 10 to 30 µs, and peers who keep it busy
/// must not keep the caller.
const ORDERS_MAX: usize = 64;

const DISCARD_BYTES: usize = 64 * 1024;

const NEVER_WAIT: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// For the kernel, which copies it on submission.
static LINGER: Timespec = Timespec::new()
    .sec(LINGER_MILLIS as u64 / 1000)
    .nsec(LINGER_MILLIS % 1000 * 1_000_000);

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
        let plain = match settings.files {
            Files::Direct => 0,
            Files::Plain => settings.connections,
        };
        let lanes = (0..count).map(|_| Lane::open(size));
        Ok(Self {
            lanes: lanes.collect::<Result<_, _>>()?,
            lane_connections: settings.lane_connections,
            plain: (0..plain).map(|_| None).collect(),
            connections: Connections::new(settings.connections),
            chunk: settings.submission_entries as usize,
            orders_max: ORDERS_MAX.min(settings.completion_entries as usize / 4),
            in_batch: false,
            overflows: 0,
            discarded: vec![0; DISCARD_BYTES].into(),
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
        match self.plain.get_mut(key.index() as usize) {
            Some(place) => *place = Some(socket),
            None => {
                let slot = Fixed(key.index() % self.lane_connections);
                self.lanes[self.lane_of(key)].register(slot, socket)?;
            }
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

    fn lane_of(&self, key: ConnectionKey) -> usize {
        match self.lanes.len() {
            1 => 0,
            _ => (key.index() / self.lane_connections) as usize,
        }
    }

    /// The lane of a connection, and its descriptor there.
    ///
    /// # Panics
    /// If it has none.
    fn place(&self, key: ConnectionKey) -> (usize, Descriptor) {
        let descriptor = match self.plain.get(key.index() as usize) {
            None => Descriptor::Direct(Fixed(key.index() % self.lane_connections)),
            Some(plain) => {
                let plain = plain.as_ref().expect("it was adopted");
                Descriptor::Plain(Fd(plain.as_raw_fd()))
            }
        };
        (self.lane_of(key), descriptor)
    }

    /// Sends `of(place)` for each place below `count`.
    fn send<'a>(
        &mut self,
        count: usize,
        of: impl Fn(usize) -> (ConnectionKey, &'a [u8]),
        failed: &mut Vec<Failure>,
    ) {
        for start in (0..count).step_by(self.chunk) {
            self.begin_batch();
            for place in start..count.min(start + self.chunk) {
                let (key, bytes) = of(place);
                assert!(self.connections.is_open(key), "it takes no bytes");
                let (lane, descriptor) = self.place(key);
                let entry = send_entry(descriptor, bytes, place);
                // SAFETY: the bytes are borrowed until this function returns, and by
                // then the kernel has taken the entry: `finish_batch` sees to that,
                // and if it is not reached, nothing is ever submitted again. A send
                // that must not wait is over when the kernel has taken it.
                unsafe { self.lanes[lane].push(&entry) };
            }
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

    /// From here to [`Self::finish_batch`] entries are queued whose memory is only
    /// borrowed. Who panics between the two leaves lanes that refuse to go on.
    fn begin_batch(&mut self) {
        assert!(!self.in_batch, "a batch was begun and not finished");
        self.in_batch = true;
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
            let (lane, descriptor) = self.place(order.key);
            if order.requests.contains(Requests::CLOSE)
                && let Some(plain) = self.plain.get_mut(order.key.index() as usize)
            {
                // The kernel closes it; until then it belongs to nobody.
                let _ = plain.take().map(IntoRawFd::into_raw_fd);
            }
            for entry in entries(&order, descriptor, &mut self.discarded) {
                // SAFETY: entries point to a static, or to the buffer for what is
                // thrown away, which nobody reads and which lives as long as the
                // rings. They close with the lanes, before it is dropped.
                unsafe { self.lanes[lane].push(&entry) };
            }
        }
        0
    }
}

/// A connection's descriptor, as entries take it.
#[derive(Clone, Copy)]
enum Descriptor {
    Direct(Fixed),
    Plain(Fd),
}

/// An entry that is made alike for either kind of descriptor.
macro_rules! entry {
    ($descriptor:expr, |$it:ident| $entry:expr) => {
        match $descriptor {
            Descriptor::Direct($it) => $entry.build(),
            Descriptor::Plain($it) => $entry.build(),
        }
    };
}

fn send_entry(descriptor: Descriptor, bytes: &[u8], place: usize) -> squeue::Entry {
    let count = u32::try_from(bytes.len()).expect("no frame has 4 GiB");
    let place = u32::try_from(place).expect("no batch has 2^32 sends");
    let flags = NEVER_WAIT | libc::MSG_WAITALL;
    entry!(descriptor, |it| opcode::Send::new(
        it,
        bytes.as_ptr(),
        count
    )
    .flags(flags))
    .flags(squeue::Flags::SKIP_SUCCESS)
    .user_data(Request::Send.at(place))
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

/// The entries of an order, in the order in which the kernel is to take them.
fn entries(
    order: &Order,
    descriptor: Descriptor,
    discarded: &mut [u8],
) -> impl Iterator<Item = squeue::Entry> + use<> {
    let key = order.key;
    let events = (libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP) as u32;
    let poll = entry!(descriptor, |it| opcode::PollAdd::new(it, events)
        .multi(true));
    let shutdown = entry!(descriptor, |it| opcode::Shutdown::new(it, libc::SHUT_WR));
    let linger = opcode::Timeout::new(&raw const LINGER).build();
    let flags = NEVER_WAIT | libc::MSG_TRUNC;
    let (buffer, count) = (discarded.as_mut_ptr(), DISCARD_BYTES as u32);
    let discard = entry!(descriptor, |it| opcode::Recv::new(it, buffer, count)
        .flags(flags));
    let cancel = |request: Request| {
        opcode::AsyncCancel::new(request.of(key))
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
    };
    // A close while something is armed would close nothing, and one that is linked to
    // a cancel would not happen if that finds nothing.
    let close = entry!(descriptor, |it| opcode::Close::new(it));
    let (asked, cancelled) = (order.requests, order.cancel);
    [
        (asked.contains(Requests::POLL), Request::Poll, poll),
        (
            asked.contains(Requests::SHUTDOWN),
            Request::Shutdown,
            shutdown,
        ),
        (asked.contains(Requests::LINGER), Request::Linger, linger),
        (asked.contains(Requests::DISCARD), Request::Discard, discard),
        (
            cancelled.contains(Requests::POLL),
            Request::Cancel,
            cancel(Request::Poll),
        ),
        (
            cancelled.contains(Requests::LINGER),
            Request::Cancel,
            cancel(Request::Linger),
        ),
        (asked.contains(Requests::CLOSE), Request::Close, close),
    ]
    .into_iter()
    .filter(|(wanted, ..)| *wanted)
    .map(move |(_, request, entry)| entry.user_data(request.of(key)))
}

impl Wire for Lanes {
    type Socket = OwnedFd;

    fn adopt(&mut self, key: ConnectionKey, socket: OwnedFd) -> io::Result<()> {
        self.take(key, socket, false)
    }

    fn reap(&mut self, events: &mut Vec<Event>, most: usize) {
        assert!(!self.in_batch, "a batch was begun and not finished");
        let mut orders = self.orders_max;
        for round in 0..ROUNDS_MAX {
            orders = self.place_orders(orders);
            let mut quiet = true;
            for lane in &mut self.lanes {
                lane.submit();
                if lane.holds_back() {
                    quiet = false;
                    self.overflows += u64::from(lane.has_overflowed());
                    match round {
                        0 => lane.enter(),
                        _ => lane.enter_thoroughly(),
                    }
                }
                lane.drain(|completion| {
                    quiet = false;
                    let request = Request::from_mark(completion.mark);
                    self.connections.answered(request, completion);
                });
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
            self.begin_batch();
            for (place, buffer) in chunk.clone().zip(got.buffers().skip(chunk.start)) {
                let key = from[place];
                assert!(
                    self.connections.is_open(key),
                    "only who is there is read from"
                );
                let (lane, descriptor) = self.place(key);
                let entry = receive_entry(descriptor, buffer, place);
                // SAFETY: the buffer is borrowed until this function returns, by no
                // other entry, and this function does not return before all receives
                // were answered; see `send` for who does not reach the end.
                unsafe { self.lanes[lane].push(&entry) };
            }
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

fn receive_entry(descriptor: Descriptor, buffer: &mut [u8], place: usize) -> squeue::Entry {
    let count = u32::try_from(buffer.len()).expect("no buffer has 4 GiB");
    let place = u32::try_from(place).expect("no batch has 2^32 receives");
    let buffer = buffer.as_mut_ptr();
    entry!(descriptor, |it| opcode::Recv::new(it, buffer, count)
        .flags(NEVER_WAIT))
    .user_data(Request::Receive.at(place))
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
