//! A client subscribes: to one filter or several, which may overlap.

use crate::oracle::link;
use crate::packets;
use crate::random::Random;
use crate::topics::FILTERS_REFUSED;
use crate::world::World;
use ringcast_referee::packet::{Request, Version};

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let version = world.clients[place].version;
    let mut requests: Vec<Request> = Vec::new();
    for _ in 0..random.between(1, 3) {
        let filter = match random.once_in(24) {
            true => *random.of(&FILTERS_REFUSED),
            false => *random.of(&world.options.filters),
        };
        // To ask twice in one packet is for the odd.
        if requests.iter().any(|request| request.filter == filter) {
            continue;
        }
        let is_v5 = version == Version::V5 && world.options.has_options;
        let is_shared = filter.starts_with("$share/");
        let qos_min = u64::from(is_shared && !world.options.has_loose_groups);
        requests.push(Request {
            filter: filter.to_owned(),
            qos: random.between(qos_min, 2) as u8,
            // Not allowed for shared subscriptions [MQTT-3.8.3-4].
            no_local: is_v5 && random.once_in(6) && !is_shared,
            retain_as_published: is_v5 && random.once_in(3),
            retain_handling: match is_v5 {
                true => *random.of(&[0, 0, 1, 2]),
                false => 0,
            },
        });
    }
    let identifier = match version {
        Version::V5 if world.options.has_options => random.below(4) as u32 * 100,
        _ => 0,
    };
    Some(send(world, place, requests, identifier))
}

/// Sends it, and tells the oracle.
pub(super) fn send(
    world: &mut World,
    place: usize,
    requests: Vec<Request>,
    identifier: u32,
) -> String {
    let id = world.packet_id(place);
    let client = &mut world.clients[place];
    let packet = packets::subscribe(client.version, id, identifier, &requests);
    client.queue(&packet);
    let socket = client.socket;
    let text = format!("{} to {requests:?} as {identifier}", socket.0);
    world
        .oracle
        .on_request(socket, id, link::What::Subscribe(requests, identifier));
    world.flush(place);
    text
}
