//! No descriptor left: said once, never spun on, over as soon as there is one again. In
//! a program of its own, since it takes descriptors away from the whole process.

mod support;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ringcast_door::{Anonymous, Limits};
use std::fs::{DirEntry, File};
use std::os::fd::IntoRawFd;
use std::time::Duration;
use support::{Engine, closed, get, hello};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

/// How long the door waits at most before it looks again whether it can accept.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Leaves the process so many descriptors beyond those that it has, and says how many it
/// may have then.
fn leave(descriptors: u64) -> u64 {
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
    let number = |entry: std::io::Result<DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let highest: i32 = open.filter_map(number).max().expect("there are some");
    // Numbers are given from the lowest, so those below the limit must all be taken.
    let filled = loop {
        let filler = File::open("/dev/null")
            .expect("can be opened")
            .into_raw_fd();
        if filler > highest {
            break filler;
        }
    };
    let left = u64::try_from(filled).expect("is not negative") + 1 + descriptors;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("can be read");
    setrlimit(Resource::RLIMIT_NOFILE, left, most).expect("may be lowered");
    left
}

async fn connect(socket: TcpSocket, engine: &Engine, said: &[u8]) -> TcpStream {
    let connected = support::within(socket.connect(engine.address)).await;
    let mut client = connected.expect("the kernel accepts into the backlog");
    client.write_all(said).await.expect("the kernel takes it");
    client
}

#[tokio::test(start_paused = true)]
async fn without_descriptors_the_door_waits_for_one() {
    let mut engine = Engine::open(Limits::default(), Anonymous);
    // The clients' own descriptors, while there are some.
    let mut sockets: Vec<_> = (0..6).map(|_| TcpSocket::new_v4().unwrap()).collect();
    let mut next = || sockets.pop().expect("enough were made");
    let most = leave(2);

    // Two that say nothing have the last ones. Who comes then waits until one leaves: it
    // need not wait until the door looks again by itself.
    let mut leaving = connect(next(), &engine, b"").await;
    support::quiesce().await;
    let since_first = Instant::now();
    let mut first = connect(next(), &engine, b"").await;
    support::quiesce().await;
    let second = connect(next(), &engine, b"").await;
    support::quiesce().await;
    tokio::time::sleep(RETRY_AFTER).await;
    assert_eq!(get(&engine.counters().newcomers), 2);
    assert_eq!(troubles(&engine), [sentence(&engine, most)]);
    let since = Instant::now();
    // It keeps its own descriptor, which is one of this process.
    leaving.shutdown().await.unwrap();
    engine.until(|counters| get(&counters.accepted) == 3).await;
    assert!(since.elapsed() < RETRY_AFTER / 2, "{:?}", since.elapsed());

    // If none leaves, who comes waits until the first has had time to speak.
    let _third = connect(next(), &engine, &hello("c")).await;
    let third = engine.newcomer().await;
    assert_eq!(*third.newcomer.received, hello("c"));
    let waited = since_first.elapsed();
    assert!((1_000..1_200).contains(&waited.as_millis()), "{waited:?}");
    closed(&mut first).await;
    assert!(support::is_waiting(&second));
    assert_eq!(get(&engine.counters().displaced), 1);

    // So does the next. Then all are established, and who comes has to wait.
    let _fourth = connect(next(), &engine, &hello("d")).await;
    let fourth = engine.newcomer().await;
    let displaced = get(&engine.counters().displaced);
    assert_eq!(displaced, 2, "the second, too");
    let before = get(&engine.counters().accept_failed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = get(&engine.counters().accept_failed) - before;
    assert_eq!(idle, 0, "nobody waits");

    let _fifth = connect(next(), &engine, &hello("e")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(engine.shards[0].is_empty());
    let failed = get(&engine.counters().accept_failed) - before;
    assert!(
        (5..=11).contains(&failed),
        "tried {failed} times in a second"
    );
    assert_eq!(troubles(&engine).len(), 4, "once each time that it began");

    drop(third);
    assert_eq!(*engine.newcomer().await.newcomer.received, hello("e"));
    drop(fourth);
    engine.settle().await;
}

fn troubles(engine: &Engine) -> Vec<String> {
    let troubles = engine.troubles.lock().unwrap();
    troubles.iter().map(ToString::to_string).collect()
}

fn sentence(engine: &Engine, most: u64) -> String {
    format!(
        "connections to {} have to wait: this process has all {most} descriptors open that it \
         may have: allow more with `ulimit -n` or, in a systemd unit, LimitNOFILE",
        engine.address
    )
}
