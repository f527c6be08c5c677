//! The recorder passes everything on and writes down what and in which order.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use ringcast_referee::recorder::Recorder;
use ringcast_referee::{Event, What};

fn what(events: &[Event], connection: u64) -> Vec<&What> {
    events
        .iter()
        .filter(|event| event.connection == connection)
        .map(|event| &event.what)
        .collect()
}

#[test]
fn both_directions_and_their_ends_stand_in_order() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let recorder = Recorder::start(listener.local_addr().unwrap()).unwrap();
    // Sends back what it got, in capitals, until the client ends.
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 1];
            while stream.read(&mut buffer).unwrap() == 1 {
                stream
                    .write_all(&buffer.map(|byte| byte.to_ascii_uppercase()))
                    .unwrap();
            }
            stream.write_all(b"!").unwrap();
        }
    });
    for _ in 0..2 {
        let mut client = TcpStream::connect(recorder.address()).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut answer = [0; 1];
        for byte in [b"a", b"b"] {
            client.write_all(byte).unwrap();
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, byte.map(|byte| byte.to_ascii_uppercase()));
        }
        client.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"!");
    }
    server.join().unwrap();
    let events = recorder.stop().unwrap();
    for connection in 1..=2 {
        assert_eq!(
            what(&events, connection),
            [
                &What::Opened,
                &What::ToServer(b"a".to_vec()),
                &What::ToClient(b"A".to_vec()),
                &What::ToServer(b"b".to_vec()),
                &What::ToClient(b"B".to_vec()),
                &What::ClosedByClient,
                &What::ToClient(b"!".to_vec()),
                &What::ClosedByServer,
            ]
        );
    }
    assert!(events.is_sorted_by_key(|event| event.at_nanos));
}

/// Nobody is left waiting: what is open ends with the recorder.
#[test]
fn stopping_ends_what_is_open() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let recorder = Recorder::start(listener.local_addr().unwrap()).unwrap();
    let mut client = TcpStream::connect(recorder.address()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"a").unwrap();
    server.read_exact(&mut [0; 1]).unwrap();
    let events = recorder.stop().unwrap();
    assert_eq!(
        what(&events, 1),
        [&What::Opened, &What::ToServer(b"a".to_vec())]
    );
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
}
