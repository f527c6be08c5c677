//! What can go wrong with an address, and what is said then.

use ringcast_door::{ListenError, ListenSettings, Listener};
use std::net::SocketAddr;
use std::num::NonZeroU32;

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
