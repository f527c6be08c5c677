//! Ten thousand that connect and say nothing, while others come in. In a program of its
//! own, since both ends of each connection are descriptors of this process.

mod support;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ringcast_door::{Anonymous, Limits};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use support::{Engine, get, hello};

/// As many as there are descriptors for, at both ends.
fn silent_most() -> u32 {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("can be read");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("may be raised so far");
    let silent = (most.min(1 << 20) - 300) / 2;
    u32::try_from(silent).expect("is small").min(10_000)
}

/// Connects so many, on a thread that may block, and says nothing. Plain sockets, so that
/// this end takes no memory of the process.
async fn silent(address: SocketAddr, number: u32) -> Vec<TcpStream> {
    let connected = tokio::task::spawn_blocking(move || {
        let connect = |_| TcpStream::connect(address).expect("the door listens");
        let clients: Vec<_> = (0..number).map(connect).collect();
        for client in &clients {
            client.set_nonblocking(true).expect("can be set");
        }
        clients
    });
    support::within(connected).await.expect("does not panic")
}

fn is_waiting(client: &TcpStream) -> bool {
    let peeked = client.peek(&mut [0]);
    peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

async fn come_in(engine: &mut Engine, number: u32) {
    for client in 0..number {
        let client_id = client.to_string();
        let _client = engine.send(&hello(&client_id)).await;
        let newcomer = engine.newcomer().await.newcomer;
        assert_eq!(*newcomer.received, hello(&client_id));
    }
}

/// Bytes of memory that are this process's own.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("is the second number") * 4096
}

#[tokio::test]
async fn ten_thousand_silent_ones_keep_nobody_out() {
    let most = silent_most();
    let limits = |newcomers_max| Limits {
        newcomers_max: NonZeroU32::new(newcomers_max).expect("at least one"),
        // Nobody's time runs out while this runs.
        connect_seconds_max: NonZeroU32::new(3_600).expect("is not zero"),
        ..Limits::default()
    };

    // As many places as silent ones and one more: all come in while all those are there.
    let mut engine = Engine::open(limits(most + 1), Anonymous);
    let before = resident_bytes();
    let clients = silent(engine.address, most).await;
    engine
        .until(|counters| get(&counters.newcomers) == u64::from(most))
        .await;
    let each = resident_bytes().saturating_sub(before) / most as usize;
    println!("{most} silent newcomers take {each} bytes each");
    assert!(each < 2_048, "{each} bytes each");
    come_in(&mut engine, 200).await;
    assert!(clients.iter().all(is_waiting), "all are still there");
    assert_eq!(get(&engine.counters().displaced), 0);
    drop(clients);
    engine
        .until(|counters| get(&counters.left) == u64::from(most))
        .await;
    engine.settle().await;
    drop(engine);

    // A tenth of the places: they make room for each other, and for those who come.
    let places = most / 10;
    let mut engine = Engine::open(limits(places), Anonymous);
    let clients = silent(engine.address, most).await;
    come_in(&mut engine, 200).await;
    let counters = engine.counters();
    engine
        .until(|counters| get(&counters.accepted) == u64::from(most + 200))
        .await;
    let displaced = get(&counters.displaced);
    let newcomers = get(&counters.newcomers);
    assert!(newcomers <= u64::from(places), "{counters:?}");
    assert!(displaced >= u64::from(most - places), "{counters:?}");
    drop(clients);
    engine.settle().await;
}
