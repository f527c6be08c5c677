//! A client gives subscriptions up, perhaps such as it does not have.

use crate::oracle::link;
use crate::packets;
use crate::random::Random;
use crate::world::World;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let mut filters = Vec::new();
    for _ in 0..random.between(1, 4) {
        let filter = (*random.of(&world.options.filters)).to_owned();
        if !filters.contains(&filter) {
            filters.push(filter);
        }
    }
    let id = world.packet_id(place);
    let client = &mut world.clients[place];
    client.queue(&packets::unsubscribe(client.version, id, &filters));
    let socket = client.socket;
    let text = format!("{} from {filters:?}", socket.0);
    world
        .oracle
        .on_request(socket, id, link::What::Unsubscribe(filters));
    world.flush(place);
    Some(text)
}
