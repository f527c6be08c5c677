//! The server that a crowd meets, as a child of this program: a door on a thread of its
//! own, and two shards that welcome whoever is handed over and part from whoever leaves.
//!
//! For each line of standard input it prints how many connections are there, how many
//! descriptors the process has, and how many bytes of it are resident.

use super::bare;
use crate::child::{announce, say};
use crate::error::Error;
use crate::memory::resident_bytes;
use crate::probe::mqtt::WELCOME;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use ringcast_door::{AddressPlace, Anonymous, Door, Handover, Home, Limits};
use ringcast_door::{ListenSettings, Listener};
use ringcast_lane::{Lanes, Settings};
use ringcast_wire::{Close, ConnectionKey, Event, Wire};
use std::fs;
use std::io::{self, BufRead};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering, fence};
use std::sync::{Arc, Barrier};
use std::thread;
use tokio::sync::mpsc::{Receiver, channel};

/// The options of the hidden `crowd-server`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    connections: u32,
    /// Only accept and close
    #[arg(long)]
    alone: bool,
    /// Only accept, and send to all
    #[arg(long, conflicts_with = "alone")]
    bare: bool,
}

const SHARDS: u32 = 2;

/// Newcomers that wait for a shard, at most.
const NEWCOMERS_MAX: usize = 1024;

const EVENTS_MAX: usize = 4096;

/// Runs as a child process, until the end of standard input.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    if arguments.bare {
        return bare::run(arguments.connections);
    }
    let open = Arc::new(AtomicI64::new(0));
    if arguments.alone {
        let listener = announce()?;
        thread::spawn(move || accept_alone(&listener));
    } else {
        let port = open_door(arguments.connections, &open)?;
        say(port)?;
    }
    for line in io::stdin().lock().lines() {
        line.map_err(Error::system("listening to who started this"))?;
        say(open.load(Ordering::Relaxed))?;
        let descriptors = fs::read_dir("/proc/self/fd").map(Iterator::count);
        say(descriptors.map_err(Error::system("counting descriptors"))?)?;
        say(resident_bytes("self").map_err(Error::system("reading /proc/self/status"))?)?;
    }
    Ok(())
}

fn accept_alone(listener: &TcpListener) {
    while let Ok((stream, _)) = listener.accept() {
        drop(stream);
    }
}

/// Opens a door before the shards, each on a thread of its own, and returns its port.
fn open_door(connections: u32, open: &Arc<AtomicI64>) -> Result<u16, Error> {
    // By chance a shard gets more than its part, but never so many more.
    let most = connections / SHARDS + connections / 20 + 100;
    let mut homes = Vec::new();
    let all_are_ready = Arc::new(Barrier::new(SHARDS as usize + 1));
    for _ in 0..SHARDS {
        let (newcomers, handed_over) = channel(NEWCOMERS_MAX);
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let eventfd = EventFd::from_flags(flags).map_err(Error::system("making an eventfd"))?;
        let bell = Arc::new(Bell {
            eventfd,
            is_parked: AtomicBool::new(false),
        });
        let (rings, open) = (Arc::clone(&bell), Arc::clone(open));
        let ready = Arc::clone(&all_are_ready);
        thread::spawn(move || {
            let mut shard =
                Shard::new(most, handed_over, bell, open).unwrap_or_else(|error| panic!("{error}"));
            ready.wait();
            loop {
                shard.turn();
            }
        });
        let wake = Box::new(move || rings.ring());
        homes.push(Home { newcomers, wake });
    }
    all_are_ready.wait();
    let settings = ListenSettings::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let listener = Listener::bind(&settings).map_err(Error::Listen)?;
    let port = listener.address().port();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("starting a runtime"))?;
    thread::spawn(move || {
        runtime.block_on(async move {
            let mut door = Door::new(Limits::default(), homes);
            let report = Arc::new(|trouble| eprintln!("the door: {trouble}"));
            door.open(listener, Arc::new(Anonymous), report)
                .expect("the loop takes the listener");
            std::future::pending::<()>().await;
        });
    });
    Ok(port)
}

/// What a parked shard waits for.
struct Bell {
    eventfd: EventFd,
    is_parked: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        // What was pushed before is seen by whoever parks after this. SYNC: parked.
        fence(Ordering::SeqCst);
        if self.is_parked.swap(false, Ordering::Relaxed) {
            // A counter that is full has rung already.
            let _ = self.eventfd.write(1);
        }
    }
}

/// A shard that has nothing to say but its welcome.
struct Shard {
    lanes: Lanes,
    handed_over: Receiver<Handover>,
    bell: Arc<Bell>,
    open: Arc<AtomicI64>,
    /// The next key for each index that is free.
    free: Vec<ConnectionKey>,
    /// By index.
    guests: Vec<Option<Guest>>,
    events: Vec<Event>,
}

struct Guest {
    is_leaving: bool,
    _place: AddressPlace,
}

impl Shard {
    fn new(
        most: u32,
        handed_over: Receiver<Handover>,
        bell: Arc<Bell>,
        open: Arc<AtomicI64>,
    ) -> Result<Self, ringcast_lane::SetUpError> {
        let mut lanes = Lanes::new(&Settings::for_connections(most)?)?;
        lanes.ring_at(bell.eventfd.as_fd())?;
        Ok(Self {
            lanes,
            handed_over,
            bell,
            open,
            free: (0..most).rev().map(ConnectionKey::first).collect(),
            guests: (0..most).map(|_| None).collect(),
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    fn turn(&mut self) {
        let some_came = self.welcome();
        self.events.clear();
        self.lanes.reap(&mut self.events, EVENTS_MAX);
        for event in &self.events {
            match *event {
                // Clients say nothing more, so it is the end.
                Event::Readable(key) | Event::Closed(key) => {
                    if let Some(guest) = &mut self.guests[key.index() as usize]
                        && !guest.is_leaving
                    {
                        guest.is_leaving = true;
                        self.lanes.close(key, Close::Abrupt);
                    }
                }
                Event::Gone(key) => {
                    self.guests[key.index() as usize] = None;
                    self.free.push(key.next());
                    self.open.fetch_sub(1, Ordering::Relaxed);
                }
                Event::Writable(_) => (),
            }
        }
        if !some_came && self.events.is_empty() {
            self.park();
        }
    }

    fn welcome(&mut self) -> bool {
        let mut keys = Vec::new();
        while keys.len() < NEWCOMERS_MAX
            && let Ok(handover) = self.handed_over.try_recv()
        {
            let key = self.free.pop().expect("there is room for all");
            let socket = handover.newcomer.socket;
            self.lanes.adopt(key, socket).expect("the lane takes it");
            self.guests[key.index() as usize] = Some(Guest {
                is_leaving: false,
                _place: handover.address_place,
            });
            keys.push(key);
        }
        // Before they know it themselves.
        self.open.fetch_add(keys.len() as i64, Ordering::Relaxed);
        let mut failed = Vec::new();
        self.lanes.send_same(&keys, &WELCOME, &mut failed);
        // Who broke off is told of by its event.
        !keys.is_empty()
    }

    fn park(&mut self) {
        self.bell.is_parked.store(true, Ordering::Relaxed);
        // SYNC: parked.
        fence(Ordering::SeqCst);
        if self.lanes.park() {
            if self.handed_over.is_empty() {
                let mut bell = [PollFd::new(self.bell.eventfd.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut bell, PollTimeout::NONE);
            }
            self.lanes.unpark();
        }
        self.bell.is_parked.store(false, Ordering::Relaxed);
        let _ = self.bell.eventfd.read();
    }
}
