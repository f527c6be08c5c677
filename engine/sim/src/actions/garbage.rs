//! A client breaks the protocol: it has to be closed, and nobody else may notice.

use crate::packets;
use crate::random::Random;
use crate::world::World;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let (what, bytes) = match random.below(8) {
        0 => ("a reserved type", packets::raw(0x00, b"abc")),
        1 => ("a server's packet", packets::raw(0x90, &[0, 1, 0])),
        2 => (
            "SUBSCRIBE with identifier 0",
            packets::raw(0x82, &[0, 0, 0, 1, b'a', 0]),
        ),
        3 => (
            "SUBSCRIBE without flags",
            packets::raw(0x80, &[0, 1, 0, 1, b'a', 0]),
        ),
        4 => ("QoS 3", packets::raw(0x36, &[0, 1, b'a', 0, 1, 0, b'x'])),
        5 => (
            "a topic with a wildcard",
            packets::raw(0x30, &[0, 1, b'#', 0, b'x']),
        ),
        6 => (
            "a length without an end",
            vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ),
        _ => (
            "a second CONNECT",
            packets::raw(0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01x"),
        ),
    };
    let client = &mut world.clients[place];
    client.queue(&bytes);
    client.has_left = true;
    let socket = client.socket;
    world.oracle.link_mut(socket)?.causes.fault = true;
    world.flush(place);
    Some(format!("{}: {what}", socket.0))
}
