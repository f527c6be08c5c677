//! A client takes nothing any more, for a while; or all do.

use crate::random::Random;
use crate::world::World;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    if random.once_in(8) {
        let clients = world.clients.iter_mut();
        clients.for_each(|client| client.is_stalled = true);
        return Some("all".to_owned());
    }
    let client = &mut world.clients[place];
    client.is_stalled = true;
    Some(client.socket.0.to_string())
}
