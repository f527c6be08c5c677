//! The entries that lanes submit.

use crate::connections::{Order, Requests};
use crate::request::Request;
use io_uring::types::{Fd, Fixed, Timespec};
use io_uring::{opcode, squeue};
use ringcast_wire::LINGER_MILLIS;

/// How much is thrown away at once.
pub(crate) const DISCARD_BYTES: usize = 64 * 1024;

const NEVER_WAIT: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// For the kernel, which copies it on submission.
static LINGER: Timespec = Timespec::new()
    .sec(LINGER_MILLIS as u64 / 1000)
    .nsec(LINGER_MILLIS % 1000 * 1_000_000);

/// A connection's descriptor, as entries take it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Descriptor {
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

/// Sends, whole or not, and is over when the kernel has taken it. `place` is its place in
/// the batch.
pub(crate) fn send(descriptor: Descriptor, bytes: &[u8], place: usize) -> squeue::Entry {
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

/// Receives once, and is over when the kernel has taken it. `place` is its place in the
/// batch.
pub(crate) fn receive(descriptor: Descriptor, buffer: &mut [u8], place: usize) -> squeue::Entry {
    let count = u32::try_from(buffer.len()).expect("no buffer has 4 GiB");
    let place = u32::try_from(place).expect("no batch has 2^32 receives");
    let buffer = buffer.as_mut_ptr();
    entry!(descriptor, |it| opcode::Recv::new(it, buffer, count)
        .flags(NEVER_WAIT))
    .user_data(Request::Receive.at(place))
}

/// The entries of an order, in the order in which the kernel is to take them.
pub(crate) fn of_order(
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
