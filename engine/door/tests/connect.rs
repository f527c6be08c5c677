//! Newcomers that come in: all that they sent arrives, however the network cut it, and
//! each goes to its home.

mod support;

use ringcast_door::{Anonymous, Door, Handover, Limits};
use socket2::SockRef;
use std::collections::HashSet;
use std::io::Read;
use std::net::TcpStream;
use support::{CLEAN, Connect, Engine, VERSIONS, get, hello, quiesce};
use tokio::io::AsyncWriteExt;

/// What was handed over, and what waits in the socket, to the end of what was sent.
fn all_sent(handover: Handover) -> Vec<u8> {
    let mut sent = handover.newcomer.received.into_vec();
    let mut socket = TcpStream::from(handover.newcomer.socket);
    let mut rest = Vec::new();
    let error = socket.read_to_end(&mut rest);
    assert_eq!(
        error.expect_err("the client is there").kind(),
        std::io::ErrorKind::WouldBlock,
        "the socket does not block"
    );
    sent.extend(rest);
    sent
}

#[tokio::test(start_paused = true)]
async fn a_connect_may_be_cut_anywhere_and_what_follows_it_arrives() {
    let mut engine = Engine::open(Limits::default(), Anonymous);
    for version in VERSIONS {
        let connect = Connect {
            user_name: Some("somebody"),
            password: Some(b"secret"),
            ..Connect::new(version, "client")
        };
        let connect = connect.bytes();
        let sent = [&connect[..], b"\x82\x06\0\x01\0\x01#\0\x30\x03\0\x01a"].concat();
        for cut in 0..=sent.len() {
            let mut client = engine.send(&sent[..cut]).await;
            // The door reads what is there, and waits.
            quiesce().await;
            let is_whole = cut >= connect.len();
            assert_eq!(engine.shards[0].is_empty(), !is_whole, "cut at {cut}");
            client
                .write_all(&sent[cut..])
                .await
                .expect("the door reads");
            quiesce().await;
            let handover = engine.newcomer().await;
            assert_eq!(handover.newcomer.peer, client.local_addr().unwrap());
            assert_eq!(handover.newcomer.user, None, "nobody in particular");
            assert_eq!(handover.newcomer.assigned_client_id, None);
            assert!(handover.newcomer.received.starts_with(&connect));
            assert_eq!(all_sent(handover), sent, "cut at {cut}");
        }
    }
    engine.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_connect_may_come_byte_by_byte() {
    let mut engine = Engine::open(Limits::default(), Anonymous);
    for version in VERSIONS {
        let connect = Connect::new(version, "client").bytes();
        let mut client = engine.connect().await;
        for byte in &connect {
            assert!(engine.shards[0].is_empty());
            client.write_all(&[*byte]).await.expect("the door reads");
            quiesce().await;
        }
        assert_eq!(*engine.newcomer().await.newcomer.received, connect);
    }
}

#[tokio::test]
async fn the_largest_connect_comes_in() {
    let password = [7; 60_000];
    let connect = Connect {
        user_name: Some("a"),
        password: Some(&password),
        ..Connect::new(VERSIONS[2], "a")
    };
    let connect = connect.bytes();
    let limits = Limits {
        connect_bytes_max: connect.len(),
        ..Limits::default()
    };
    let mut engine = Engine::open(limits, Anonymous);
    let _client = engine.send(&connect).await;
    assert_eq!(*engine.newcomer().await.newcomer.received, connect);
}

#[tokio::test]
async fn who_brings_no_identifier_is_given_one() {
    let mut engine = Engine::open(Limits::default(), Anonymous);
    let mut given = HashSet::new();
    let [_, v311, v5] = VERSIONS;
    for (version, flags) in [(v311, CLEAN), (v5, CLEAN), (v5, 0)] {
        let connect = Connect {
            flags,
            ..Connect::new(version, "")
        };
        let _client = engine.send(&connect.bytes()).await;
        let newcomer = engine.newcomer().await.newcomer;
        given.insert(newcomer.assigned_client_id.expect("it brought none"));
    }
    assert_eq!(given.len(), 3, "{given:?}");
}

#[tokio::test]
async fn a_client_has_one_home_and_all_homes_have_clients() {
    const CLIENTS: usize = 2_000;
    let mut engine = Engine::with_shards(Limits::default(), Anonymous, 4, CLIENTS);
    let mut homes = Vec::new();
    for round in 0..2 {
        for client in 0..CLIENTS {
            let client_id = format!("client-{client}");
            let _client = engine.send(&hello(&client_id)).await;
            let (home, handover) = engine.arrival().await;
            assert_eq!(*handover.newcomer.received, hello(&client_id));
            assert_eq!(home, engine.door.home_of(&client_id));
            match round {
                0 => homes.push(home),
                _ => assert_eq!(home, homes[client], "its home moved"),
            }
        }
    }
    for home in 0..4 {
        // A fair share is 500, with a standard deviation of 19.
        let clients = homes.iter().filter(|&&of| of == home).count();
        assert!((350..650).contains(&clients), "home {home} has {clients}");
    }
}

/// Homes are drawn with keys of their own by each door: who knows where an identifier
/// lives in one engine does not know it of another.
#[tokio::test]
async fn homes_can_not_be_foretold() {
    let homes = |door: &Door| {
        (0..64)
            .map(|id| door.home_of(&id.to_string()))
            .collect::<Vec<_>>()
    };
    let [one, other] =
        [(); 2].map(|()| Engine::with_shards(Limits::default(), Anonymous, 4, 1).door);
    assert_ne!(homes(&one), homes(&other));
}

#[tokio::test]
async fn the_listeners_options_reach_the_shard() {
    let mut engine = Engine::open(Limits::default(), Anonymous);
    let _client = engine.send(&hello("a")).await;
    let newcomer = engine.newcomer().await.newcomer;
    let socket = SockRef::from(&newcomer.socket);
    assert!(socket.tcp_nodelay().unwrap());
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), 16 * 1024);
    assert!(socket.nonblocking().unwrap());
}

#[tokio::test]
async fn several_loops_accept_at_one_address() {
    const CLIENTS: u64 = 64;
    let mut engine = Engine::open(Limits::default(), Anonymous);
    let address = engine.listen(Anonymous, 4);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut socket = support::connect(address).await;
        socket.write_all(&hello(&client.to_string())).await.unwrap();
        clients.push(socket);
    }
    engine
        .until(|counters| get(&counters.handed_over) == CLIENTS)
        .await;
    engine.settle().await;
}
