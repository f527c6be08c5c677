//! Newcomers that never finish: each costs little and not for long, and none keeps
//! others out.

mod support;

use ringcast_door::{Anonymous, Limits, Refusal};
use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;
use support::{Connect, Engine, Held, VERSIONS, closed, get, hello, is_waiting, quiesce};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

fn newcomers(most: u32) -> Limits {
    Limits {
        newcomers_max: NonZeroU32::new(most).expect("at least one"),
        ..Limits::default()
    }
}

/// The clock stands still but for what is waited for, so times are exact.
fn assert_closed_after(since: Instant, seconds: u64) {
    let elapsed = since.elapsed();
    let late = elapsed.checked_sub(Duration::from_secs(seconds));
    assert!(
        late.is_some_and(|late| late < Duration::from_millis(100)),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_closed_in_time() {
    let engine = Engine::open(Limits::default(), Anonymous);
    let since = Instant::now();
    let mut early = engine.connect().await;
    sleep(Duration::from_secs(3)).await;
    let mut late = engine.connect().await;
    closed(&mut early).await;
    assert_closed_after(since, 10);
    assert!(is_waiting(&late));
    closed(&mut late).await;
    assert_closed_after(since, 13);
    assert_eq!(get(&engine.counters().timed_out), 2);
    engine.settle().await;
}

/// Somebody who sends a byte a second is not spared for it.
#[tokio::test(start_paused = true)]
async fn a_connect_is_whole_in_time_or_never() {
    let engine = Engine::open(Limits::default(), Anonymous);
    let since = Instant::now();
    let mut client = engine.connect().await;
    for byte in hello("a client that takes its time") {
        if client.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert_closed_after(since, 11);
    assert_eq!(get(&engine.counters().timed_out), 1);
    engine.settle().await;
}

/// A CONNECT of the largest size that never ends: read, kept to that size, closed.
#[tokio::test(start_paused = true)]
async fn an_endless_connect_is_closed_in_time() {
    let engine = Engine::open(Limits::default(), Anonymous);
    let since = Instant::now();
    let most = Limits::default().connect_bytes_max as u16;
    // A body of all that the limit leaves behind a header of three bytes.
    let body = most - 3;
    let mut client = engine
        .send(&[0x10, body as u8 | 0x80, (body >> 7) as u8])
        .await;
    client
        .write_all(b"\0\x04MQTT\x05\x02\0\x3C\0\0\x01a")
        .await
        .unwrap();
    let all_but_one = vec![0; usize::from(body) - 15];
    client.write_all(&all_but_one).await.unwrap();
    quiesce().await;
    assert!(is_waiting(&client));
    closed(&mut client).await;
    assert_closed_after(since, 10);
    assert_eq!(get(&engine.counters().timed_out), 1);
    engine.settle().await;
}

/// Any bytes at all end in one of the known ways, and the next client comes in.
#[tokio::test(start_paused = true)]
async fn garbage_ends_as_well() {
    let mut engine = Engine::open(Limits::default(), Anonymous);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut clients = Vec::new();
    for _ in 0..500 {
        let garbage: Vec<u8> = (0..64)
            .map(|_| {
                // Xorshift: the same garbage each time.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random as u8
            })
            .collect();
        clients.push(engine.send(&garbage).await);
    }
    let _client = engine.send(&hello("a")).await;
    assert_eq!(*engine.newcomer().await.newcomer.received, hello("a"));
    for client in &mut clients {
        closed(client).await;
    }
    let counters = engine.counters();
    let ended = counters.refused(Refusal::Malformed)
        + counters.refused(Refusal::PacketTooLarge)
        + get(&counters.timed_out);
    assert_eq!(ended, 500, "{counters:?}");
    assert!(counters.refused(Refusal::Malformed) > 400, "{counters:?}");
    engine.settle().await;
}

#[tokio::test]
async fn who_leaves_early_leaves_nothing() {
    let engine = Engine::open(Limits::default(), Anonymous);
    let _ = engine.connect().await;
    let _ = engine.send(&hello("a")[..5]).await;
    let reset = engine.send(&hello("a")[..5]).await;
    reset.set_zero_linger().unwrap();
    drop(reset);
    engine.until(|counters| get(&counters.left) == 3).await;
    engine.settle().await;
}

/// Whoever has waited longest makes room, whether it is silent or sends a byte now and
/// then. Who comes in does so while all others are still there.
#[tokio::test(start_paused = true)]
async fn those_who_wait_make_room_for_those_who_come() {
    let mut engine = Engine::open(newcomers(8), Anonymous);
    let since = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..8 {
        waiting.push(engine.send(&hello("a")[..number % 2]).await);
        quiesce().await;
    }
    for number in 0..20 {
        let client_id = number.to_string();
        let _client = engine.send(&hello(&client_id)).await;
        let newcomer = engine.newcomer().await.newcomer;
        assert_eq!(*newcomer.received, hello(&client_id));
        // It took the place of the first, and left it: there is room for all to come.
        assert!(waiting[1..].iter().all(is_waiting));
    }
    closed(&mut waiting[0]).await;
    assert_eq!(get(&engine.counters().displaced), 1);

    for _ in 0..4 {
        waiting.push(engine.connect().await);
        quiesce().await;
    }
    // One took the free place; three more had to go, in the order in which they came.
    for client in &mut waiting[1..4] {
        closed(client).await;
    }
    assert!(waiting[4..].iter().all(is_waiting));
    assert_eq!(get(&engine.counters().displaced), 4);
    assert!(
        since.elapsed() < Duration::from_millis(500),
        "they had to go at once"
    );
    drop(waiting);
    engine.settle().await;
}

/// The one that leaves and the one that comes are seen at the same time.
#[tokio::test(start_paused = true)]
async fn nobody_makes_room_where_there_is_some() {
    let engine = Engine::open(newcomers(2), Anonymous);
    let silent = engine.connect().await;
    quiesce().await;
    let leaving = engine.connect().await;
    quiesce().await;
    // Without giving the door a chance to act in between.
    let coming = std::net::TcpStream::connect(engine.address).unwrap();
    drop(leaving);
    quiesce().await;
    let counters = engine.counters();
    assert_eq!(get(&counters.left), 1);
    assert_eq!(get(&counters.newcomers), 2);
    assert_eq!(get(&counters.displaced), 0);
    assert!(is_waiting(&silent));
    drop((coming, silent));
    engine.settle().await;
}

/// More silent ones than there are places, coming all the time: an honest client needs
/// only be faster than as many of them as there are places.
#[tokio::test(start_paused = true)]
async fn a_storm_of_silent_ones_keeps_nobody_out() {
    let mut engine = Engine::open(newcomers(16), Anonymous);
    let mut storm = Vec::new();
    for number in 0..200 {
        for _ in 0..10 {
            storm.push(engine.connect().await);
        }
        let client_id = number.to_string();
        let client = engine.send(&hello(&client_id)).await;
        let newcomer = engine.newcomer().await.newcomer;
        assert_eq!(*newcomer.received, hello(&client_id));
        drop(client);
    }
    let counters = engine.counters();
    assert_eq!(get(&counters.handed_over), 200);
    assert!(get(&counters.newcomers) <= 16);
    assert!(get(&counters.displaced) >= 2_000 - 16 - 1, "{counters:?}");
    drop(storm);
    engine.settle().await;
}

/// A client of another address of loopback.
async fn connect_from(last: u8, engine: &Engine) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    support::within(socket.connect(engine.address))
        .await
        .unwrap()
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_others_have_theirs() {
    let limits = Limits {
        connections_per_loopback_address: NonZeroU32::new(3),
        ..Limits::default()
    };
    let mut engine = Engine::open(limits, Anonymous);
    let mut kept = Vec::new();
    let mut clients = Vec::new();
    // Two are established, one is a newcomer, and that is all it may have.
    for client_id in ["a", "b"] {
        let mut client = connect_from(9, &engine).await;
        client.write_all(&hello(client_id)).await.unwrap();
        kept.push(engine.newcomer().await);
        clients.push(client);
    }
    clients.push(connect_from(9, &engine).await);
    engine.until(|counters| get(&counters.newcomers) == 1).await;
    let full = |counters: &ringcast_door::Counters| counters.refused(Refusal::AddressFull);
    for storm in 1..=500 {
        let mut client = connect_from(9, &engine).await;
        closed(&mut client).await;
        assert_eq!(full(&engine.counters()), storm);
    }
    let mut other = connect_from(10, &engine).await;
    other.write_all(&hello("c")).await.unwrap();
    assert_eq!(*engine.newcomer().await.newcomer.received, hello("c"));

    // A newcomer that leaves gives its place back, and so does an established one when
    // its shard drops what it was given for it.
    drop(clients.pop());
    engine.until(|counters| get(&counters.left) == 1).await;
    let Some(gone) = kept.pop() else {
        panic!("two were kept");
    };
    drop(gone.address_place);
    for client_id in ["d", "e"] {
        let mut client = connect_from(9, &engine).await;
        client.write_all(&hello(client_id)).await.unwrap();
        kept.push(engine.newcomer().await);
        clients.push(client);
    }
    closed(&mut connect_from(9, &engine).await).await;
    engine.settle().await;
}

/// A home whose queue is full holds its newcomers, these hold their places, and so the
/// door stops accepting; when the home goes on, so do all.
#[tokio::test(start_paused = true)]
async fn a_full_home_makes_the_door_stop_and_go_on() {
    let mut engine = Engine::with_shards(newcomers(3), Anonymous, 1, 2);
    let clients: Vec<_> = (0..20).map(|number| hello(&number.to_string())).collect();
    let mut sockets = Vec::new();
    for client in &clients {
        sockets.push(engine.send(client).await);
        quiesce().await;
    }
    let counters = engine.counters();
    // Two in the queue, three at the door; the rest is the kernel's.
    assert_eq!(get(&counters.handed_over), 2);
    assert_eq!(get(&counters.newcomers), 3);
    assert_eq!(get(&counters.accepted), 5);
    let mut arrived = Vec::new();
    for _ in &clients {
        arrived.push(engine.newcomer().await.newcomer);
    }
    let received = arrived.iter().map(|newcomer| newcomer.received.to_vec());
    assert_eq!(
        received.collect::<HashSet<_>>(),
        HashSet::from_iter(clients)
    );
    assert!(sockets.iter().all(is_waiting));
    assert_eq!(get(&counters.handed_over), 20);
    engine.settle().await;
}

/// Where nearly all places are taken by those who wait for a home, who is about to speak
/// is spared: to let it go would help nobody. After a second it has to go all the same.
#[tokio::test(start_paused = true)]
async fn who_is_about_to_speak_is_spared_while_homes_are_full() {
    let mut engine = Engine::with_shards(newcomers(8), Anonymous, 1, 1);
    let mut clients = Vec::new();
    for number in 0..7 {
        clients.push(engine.send(&hello(&number.to_string())).await);
        quiesce().await;
    }
    let slow = hello("slow");
    let mut spared = engine.send(&slow[..3]).await;
    let mut silent = engine.connect().await;
    sleep(Duration::from_millis(10)).await;
    let since = Instant::now();
    clients.push(engine.send(&hello("last")).await);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(get(&engine.counters().newcomers), 8);
    assert_eq!(get(&engine.counters().accepted), 9, "one is in the queue");
    assert!(is_waiting(&spared) && is_waiting(&silent));
    spared.write_all(&slow[3..]).await.unwrap();
    quiesce().await;

    let mut received = HashSet::new();
    let mut kept = Vec::new();
    for _ in 0..9 {
        let newcomer = engine.newcomer().await.newcomer;
        received.insert(newcomer.received.to_vec());
        kept.push(newcomer);
    }
    assert!(received.contains(&slow) && received.contains(&hello("last")));
    assert!(since.elapsed() < Duration::from_secs(1));
    assert_eq!(get(&engine.counters().displaced), 0);

    // The silent one is there still; now the home takes nobody again.
    for number in 0..8 {
        clients.push(engine.send(&hello(&number.to_string())).await);
    }
    sleep(Duration::from_secs(1)).await;
    clients.push(engine.send(&hello("9")).await);
    closed(&mut silent).await;
    assert!(since.elapsed() < Duration::from_secs(2));
    assert_eq!(get(&engine.counters().displaced), 1);
    for _ in 0..9 {
        kept.push(engine.newcomer().await.newcomer);
    }
    engine.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_home_that_takes_nobody_in_time_is_busy() {
    let engine = Engine::with_shards(Limits::default(), Anonymous, 1, 1);
    let _first = engine.send(&hello("a")).await;
    quiesce().await;
    for (level, connect) in VERSIONS.map(|version| (version.1, Connect::new(version, "b").bytes()))
    {
        let since = Instant::now();
        let told = engine.answer_to(&connect).await;
        assert_eq!(told, support::connack(level, Some(3), 0x89));
        assert_closed_after(since, 10);
    }
    assert_eq!(engine.counters().refused(Refusal::ServerBusy), 3);
    engine.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_door_lets_those_inside_finish() {
    let mut engine = Engine::open(Limits::default(), Anonymous);
    let mut clients = Vec::new();
    for version in VERSIONS {
        let connect = Connect::new(version, "a").bytes();
        clients.push((version.1, engine.send(&connect[..9]).await, connect));
    }
    let mut silent = engine.connect().await;
    quiesce().await;
    let counters = engine.counters();
    let address = engine.address;
    let drained = tokio::spawn(engine.door.drain());
    quiesce().await;
    let refused = TcpStream::connect(address).await;
    assert_eq!(
        refused.expect_err("nobody listens").kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    for (level, mut client, connect) in clients {
        client.write_all(&connect[9..]).await.unwrap();
        let told = support::answer(client).await;
        assert_eq!(told, support::connack(level, Some(3), 0x88));
    }
    assert!(!drained.is_finished());
    closed(&mut silent).await;
    drained.await.expect("the door is drained");
    assert_eq!(counters.refused(Refusal::ServerUnavailable), 3);
    assert_eq!(get(&counters.timed_out), 1);
    assert_eq!(get(&counters.newcomers), 0);
    support::check_sum(&counters);
    assert!(
        engine.shards[0].recv().await.is_none(),
        "nobody came in, nobody will"
    );
}

#[tokio::test]
async fn a_dropped_door_closes_who_waits() {
    let engine = Engine::open(Limits::default(), Anonymous);
    let mut client = engine.connect().await;
    engine.until(|counters| get(&counters.newcomers) == 1).await;
    let counters = engine.counters();
    drop(engine);
    closed(&mut client).await;
    support::until(&counters, |counters| get(&counters.newcomers) == 0).await;
    support::check_sum(&counters);
}

/// Whoever is refused after that is told, and has no second to leave: nobody is there any
/// more who would count it.
#[tokio::test]
async fn a_dropped_door_closes_who_is_refused_after_that() {
    let (holder, held) = Held::new();
    let engine = Engine::open(Limits::default(), held);
    let client = engine.send(&hello("a")).await;
    holder.begun().await;
    let counters = engine.counters();
    // The door, and its home, which is why it will be refused.
    drop(engine);
    holder.let_go();
    support::until(&counters, |counters| get(&counters.newcomers) == 0).await;
    assert_eq!(support::answer(client).await, b"\x20\x03\0\x88\0");
}

/// Everything at once, on several threads: whatever happens to each, the door knows it,
/// and an honest client that comes again comes in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_lose_nobody() {
    const HONEST: usize = 300;
    let mut engine = Engine::open(newcomers(32), Anonymous);
    let address = engine.listen(Anonymous, 4);
    let attack = tokio::spawn(async move {
        let mut kept = VecDeque::new();
        for number in 0_usize.. {
            let mut client = support::connect(address).await;
            // It may have been closed already to make room.
            let _ = match number % 4 {
                0 => client.write_all(b"").await,
                1 => client.write_all(&hello("x")[..7]).await,
                2 => client.write_all(b"\x10\xFF\xFF\xFF\xFF").await,
                _ => {
                    client
                        .write_all(&Connect::new(("MQTT", 9), "x").bytes())
                        .await
                }
            };
            kept.push_back(client);
            if kept.len() > 100 {
                kept.pop_front();
            }
        }
    });
    let honest: Vec<_> = (0..HONEST)
        .map(|number| {
            tokio::spawn(async move {
                loop {
                    let mut client = support::connect(address).await;
                    // An error or an end: it had to make room, or its home took it.
                    let _ = client.write_all(&hello(&number.to_string())).await;
                    let _ = client.peek(&mut [0]).await;
                }
            })
        })
        .collect();
    let mut arrived = HashSet::new();
    while arrived.len() < HONEST {
        let newcomer = engine.newcomer().await.newcomer;
        arrived.insert(newcomer.received);
    }
    attack.abort();
    for client in honest {
        client.abort();
    }
    engine.until(|counters| get(&counters.newcomers) == 0).await;
    engine.settle().await;
}
