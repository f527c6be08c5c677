//! A ring over a socket: to a tap, to a consumer, and what else may come.

#![allow(unsafe_code, reason = "receives and maps as another program would")]

mod support;

use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use ringcast_ring::layout::VERSION;
use ringcast_ring::{HandoverError, Kind, MemoryError, Producer, Tap, TapError, Waiting};
use std::io::{IoSlice, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;
use std::sync::Mutex;
use support::*;

const CAPACITY: usize = 4096;

/// Tests that count the descriptors of the process run one at a time, as do all others
/// here: a test in another thread would open some.
static DESCRIPTORS: Mutex<()> = Mutex::new(());

fn alone() -> impl Drop {
    DESCRIPTORS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("there is /proc")
        .count()
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a descriptor is left")
}

fn producer() -> Producer {
    Producer::create("handover", CAPACITY).expect("there is memory")
}

fn write(producer: &mut Producer, body: &[u8]) {
    let room = producer.claim(body.len(), Kind(1)).expect("there is room");
    room.copy_from_slice(body);
    producer.publish();
}

/// The message of 16 bytes, as the module says.
fn message(version: u32, place: u32) -> Vec<u8> {
    let mut message = b"RINGHAND".to_vec();
    message.extend_from_slice(&version.to_le_bytes());
    message.extend_from_slice(&place.to_le_bytes());
    message
}

fn send(stream: &UnixStream, message: &[u8], descriptors: &[i32]) {
    let parts = [IoSlice::new(message)];
    let rights = [ControlMessage::ScmRights(descriptors)];
    let rights = if descriptors.is_empty() {
        &[][..]
    } else {
        &rights[..]
    };
    sendmsg::<()>(stream.as_raw_fd(), &parts, rights, MsgFlags::empty(), None).expect("it is open");
}

#[test]
fn a_tap_reads_what_is_published_after_it_came() {
    let _alone = alone();
    let mut producer = producer();
    write(&mut producer, b"before");
    let (near, far) = pair();
    producer.offer_tap(&near).expect("it is our own user");
    let mut tap = Tap::accept(&far).expect("it was just sent");
    write(&mut producer, b"after");
    let (records, error) = read_all(&mut tap);
    assert_eq!(error, None);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].2, b"after");
    assert!(tap.park().is_none(), "nobody would wake it");
}

#[test]
fn a_consumer_is_waited_for_and_woken() {
    let _alone = alone();
    let mut producer = producer();
    let (near, far) = pair();
    let place = producer.offer_consumer(&near).expect("there is a place");
    let mut tap = Tap::accept(&far).expect("it was just sent");
    let bell = tap.park().expect("nothing is there");
    assert!(!bell.wait(0), "nothing rang");
    write(&mut producer, &[1; 1000]);
    assert!(bell.wait(10_000), "the publish rang");
    assert!(!bell.wait(0), "once");
    tap.unpark();
    assert!(tap.park().is_none(), "there is something to read");
    while producer.claim(1000, Kind(1)).is_ok() {}
    producer.publish();
    assert_eq!(producer.backlog(), 4 * 1008);
    let mut body = Vec::new();
    tap.read(&mut body)
        .expect("is honest")
        .expect("there is one");
    assert!(
        producer.claim(1000, Kind(1)).is_err(),
        "it was not released"
    );
    tap.release();
    // One record is free, and 64 bytes that padding would need are not.
    assert_eq!(producer.lag(place), Some(3 * 1008));
    tap.read(&mut body)
        .expect("is honest")
        .expect("there is one");
    tap.release();
    write(&mut producer, &[2; 1000]);
    producer.remove_consumer(place);
    assert_eq!(producer.lag(place), None);
    for _ in 0..10 {
        write(&mut producer, &[3; 1000]);
    }
    assert!(matches!(tap.read(&mut body), Err(TapError::Lapped { .. })));
}

#[test]
fn a_place_is_given_back_when_the_peer_is_gone() {
    let _alone = alone();
    let mut producer = producer();
    let before = descriptors();
    for _ in 0..100 {
        let (near, far) = pair();
        drop(far);
        let offered = producer.offer_consumer(&near);
        assert!(matches!(
            offered,
            Err(HandoverError::Socket(nix::Error::EPIPE))
        ));
    }
    assert_eq!(descriptors(), before);
    assert_eq!(producer.backlog(), 0);
}

#[test]
fn sixty_consumers_and_no_more() {
    let _alone = alone();
    let mut producer = producer();
    let (near, _far) = pair();
    for _ in 0..60 {
        producer.offer_consumer(&near).expect("there is a place");
    }
    assert!(matches!(
        producer.offer_consumer(&near),
        Err(HandoverError::NoPlace)
    ));
}

#[test]
fn what_is_not_a_handover_is_refused_and_leaks_nothing() {
    let _alone = alone();
    let producer = producer();
    let ring = producer.as_fd().as_raw_fd();
    let null = std::fs::File::open("/dev/null").expect("it is there");
    let (tap, right) = (u32::MAX, VERSION);
    let mut wrong_magic = message(right, tap);
    wrong_magic[0] ^= 1;
    let cases: [(&str, Vec<u8>, Vec<i32>); 12] = [
        ("another version", message(right + 1, tap), vec![ring]),
        ("another magic", wrong_magic, vec![ring]),
        ("cut short", message(right, tap)[..15].to_vec(), vec![ring]),
        ("no descriptor", message(right, tap), vec![]),
        ("a tap with a bell", message(right, tap), vec![ring, ring]),
        ("a consumer without a bell", message(right, 3), vec![ring]),
        ("three descriptors", message(right, 3), vec![ring; 3]),
        ("four descriptors", message(right, tap), vec![ring; 4]),
        ("very many descriptors", message(right, 3), vec![ring; 200]),
        ("no place of the ring", message(right, 60), vec![ring, ring]),
        (
            "a place that was not given",
            message(right, 3),
            vec![ring, ring],
        ),
        (
            "something else",
            message(right, tap),
            vec![null.as_raw_fd()],
        ),
    ];
    for (what, bytes, sent) in cases {
        let before = descriptors();
        let (near, far) = pair();
        send(&near, &bytes, &sent);
        let accepted = Tap::accept(&far);
        let is_memory = matches!(accepted, Err(HandoverError::Memory(_)));
        let is_message = matches!(accepted, Err(HandoverError::Message));
        let memory_is_wrong = what.contains("place") || what == "something else";
        assert!(
            if memory_is_wrong {
                is_memory
            } else {
                is_message
            },
            "{what}: {accepted:?}"
        );
        drop((near, far));
        assert_eq!(descriptors(), before, "{what}");
    }
    let (near, far) = pair();
    drop(near);
    assert!(
        matches!(Tap::accept(&far), Err(HandoverError::Message)),
        "a peer that hung up"
    );
}

#[test]
fn a_place_whose_cursor_lies_is_refused() {
    let _alone = alone();
    let mut producer = producer();
    write(&mut producer, &[0; 100]);
    let published = producer.published().0;
    for lie in lies(published, CAPACITY as u64) {
        let is_right = lie <= published && lie % 8 == 0;
        let mut image = image(&producer);
        set_word(&mut image, 512, lie);
        let memory = memfd(&image, SIZE_SEALS);
        let (near, far) = pair();
        let bell = descriptor(&memory);
        send(
            &near,
            &message(VERSION, 0),
            &[memory.as_raw_fd(), bell.as_raw_fd()],
        );
        let accepted = Tap::accept(&far);
        assert_eq!(accepted.is_ok(), is_right, "{lie:#x}: {accepted:?}");
        if let Ok(mut tap) = accepted {
            // A cursor may stand within a record: nonsense is an error there too.
            let _ = read_all(&mut tap);
            tap.release();
        }
    }
}

/// A bell that is no eventfd, and one whose reading would wait for ever.
#[test]
fn a_bell_that_cannot_ring_hangs_nobody() {
    use nix::sys::eventfd::EventFd;
    let _alone = alone();
    let mut producer = producer();
    let (near, _far) = pair();
    let place = producer.offer_consumer(&near).expect("there is a place") as u32;
    let waits: OwnedFd = EventFd::from_value(0).expect("a descriptor is left").into();
    let null: OwnedFd = std::fs::File::open("/dev/null")
        .expect("it is there")
        .into();
    let (socket, _other_end) = pair();
    for bell in [waits, null, socket.into()] {
        let (near, far) = pair();
        let descriptors = [producer.as_fd().as_raw_fd(), bell.as_raw_fd()];
        send(&near, &message(VERSION, place), &descriptors);
        let tap = Tap::accept(&far).expect("a ring and a descriptor");
        let bell = tap.park().expect("nothing is there");
        assert!(!bell.wait(1), "nobody rang");
        tap.unpark();
    }
}

fn map_writable(memory: &impl AsFd) -> nix::Result<()> {
    let length = NonZeroUsize::new(8192).expect("is not zero");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: no address is given, so nothing is replaced; the mapping is never used.
    unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, memory, 0) }.map(drop)
}

/// The first descriptor that comes over the socket.
fn receive(stream: &UnixStream) -> OwnedFd {
    use nix::sys::socket::{ControlMessageOwned, recvmsg};
    use std::os::fd::FromRawFd;
    let mut bytes = [0; 16];
    let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
    let mut space = nix::cmsg_space!([i32; 1]);
    let received = recvmsg::<()>(
        stream.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::empty(),
    )
    .expect("something was sent");
    let control = received
        .cmsgs()
        .expect("nothing was cut")
        .next()
        .expect("there is one");
    let ControlMessageOwned::ScmRights(raw) = control else {
        panic!("no descriptor: {control:?}");
    };
    // SAFETY: the kernel just made it for this process, and it is taken once.
    unsafe { OwnedFd::from_raw_fd(raw[0]) }
}

#[test]
fn a_tap_cannot_map_its_descriptor_for_writing() {
    let _alone = alone();
    let producer = producer();
    let (near, far) = pair();
    producer.offer_tap(&near).expect("it is our own user");
    let memory = receive(&far);
    assert_eq!(map_writable(&memory), Err(nix::Error::EACCES));
    assert!(std::fs::File::from(memory).write(b"x").is_err());
    assert_eq!(
        map_writable(&producer),
        Ok(()),
        "the descriptor made the difference"
    );
}

#[test]
fn a_ring_sealed_for_taps_is_mapped_for_writing_by_nobody() {
    let _alone = alone();
    let mut producer = producer();
    let mut consumer = producer.consumer(Waiting::Spins).expect("there is a place");
    producer.seal_for_taps().expect("Linux 5.1");
    assert_eq!(map_writable(&producer), Err(nix::Error::EPERM));
    let path = format!("/proc/self/fd/{}", producer.as_fd().as_raw_fd());
    let anew = std::fs::File::options().read(true).write(true).open(path);
    let mut anew = anew.expect("opening is allowed");
    assert_eq!(map_writable(&anew), Err(nix::Error::EPERM));
    assert!(anew.write(b"x").is_err());
    let (near, far) = pair();
    producer.offer_tap(&near).expect("it is our own user");
    let mut tap = Tap::accept(&far).expect("it was just sent");
    write(&mut producer, b"goes on");
    assert_eq!(read_all(&mut tap).0[0].2, b"goes on");
    let mut batch = consumer.poll().expect("is honest");
    let record = batch
        .next_record()
        .expect("is honest")
        .expect("there is one");
    assert_eq!(record.body, b"goes on");
    drop(batch);
    let memory = descriptor(&producer);
    drop((producer, consumer));
    let taken = Producer::take_over(memory);
    assert!(
        matches!(taken, Err(MemoryError::System { step: "mmap", .. })),
        "{taken:?}"
    );
}

/// Needs root, to become somebody else; other users are covered by the unit test.
#[test]
fn a_stranger_gets_nothing_and_is_not_believed() {
    use std::os::unix::process::CommandExt;
    let _alone = alone();
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not root: cannot become a stranger");
        return;
    }
    let name = format!("ringcast-stranger-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("is short");
    let listener = UnixListener::bind_addr(&address).expect("the name is free");
    let program = "import socket, sys\n\
                   s = socket.socket(socket.AF_UNIX)\n\
                   s.connect('\\0' + sys.argv[1])\n\
                   s.recv(1)";
    let mut stranger = Command::new("python3")
        .args(["-c", program, &name])
        .uid(65534)
        .spawn()
        .expect("python3 is installed: ./test tools does that");
    let (stream, _) = listener.accept().expect("the stranger comes");
    let mut producer = producer();
    let before = descriptors();
    let is_refused = |error| matches!(error, HandoverError::Stranger { uid: 65534 });
    assert!(is_refused(
        producer.offer_tap(&stream).expect_err("a stranger")
    ));
    assert!(is_refused(
        producer.offer_consumer(&stream).expect_err("a stranger")
    ));
    assert!(is_refused(Tap::accept(&stream).expect_err("a stranger")));
    assert_eq!(descriptors(), before);
    drop(stream);
    assert!(stranger.wait().expect("it is our child").success());
}
