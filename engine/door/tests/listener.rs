//! What can go wrong with an address, and what is said then.

mod support;

use ringcast_door::{Anonymous, Limits, ListenError, ListenSettings, Listener};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use support::{Connect, Engine};

fn at(address: &str) -> ListenSettings {
    ListenSettings::new(address.parse().expect("an address"))
}

#[test]
fn port_0_picks_a_free_one_that_all_loops_share() {
    let settings = ListenSettings {
        accept_loops: NonZeroU32::new(3).expect("is not zero"),
        ..at("127.0.0.1:0")
    };
    let listener = Listener::bind(&settings).unwrap();
    assert_ne!(listener.address().port(), 0);
    let other = Listener::bind(&settings).unwrap();
    assert_ne!(listener.address(), other.address());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = Listener::bind(&at("127.0.0.1:0")).unwrap();
    let error = Listener::bind(&ListenSettings::new(first.address())).unwrap_err();
    assert!(matches!(error, ListenError::AddressInUse(address) if address == first.address()));
    let port = first.address().port();
    assert_eq!(
        error.to_string(),
        format!(
            "127.0.0.1:{port} is taken: stop the program that listens there (`ss -ltnp sport = \
             :{port}` names it) or choose another port"
        )
    );
    drop(first);
    Listener::bind(&ListenSettings::new(SocketAddr::from((
        [127, 0, 0, 1],
        port,
    ))))
    .unwrap();
}

#[test]
fn an_address_of_another_host_is_named() {
    // Of a network that is for examples only.
    let error = Listener::bind(&at("192.0.2.1:1883")).unwrap_err();
    assert!(matches!(error, ListenError::AddressNotAvailable(_)));
    assert!(
        error
            .to_string()
            .starts_with("192.0.2.1:1883 is no address of this host")
    );
}

/// A connection that the door has ended stays in the kernel for a minute (TIME_WAIT), and
/// that is no reason not to start again.
#[tokio::test]
async fn an_address_can_be_used_again_at_once() {
    let engine = Engine::open(Limits::default(), Anonymous);
    let unserved = Connect::new(("MQTT", 6), "a").bytes();
    assert_eq!(engine.answer_to(&unserved).await, b"\x20\x03\0\x84\0");
    engine.settle().await;
    let address = engine.address;
    engine.door.drain().await;
    Listener::bind(&ListenSettings::new(address)).expect("nobody listens there any more");
}
