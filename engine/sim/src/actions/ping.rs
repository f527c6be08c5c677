//! A client asks whether the server is there.

use crate::packets;
use crate::random::Random;
use crate::world::World;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let client = &mut world.clients[place];
    client.queue(&packets::ping());
    let socket = client.socket;
    let link = world.oracle.link_mut(socket)?;
    link.pings += 1;
    world.flush(place);
    Some(socket.0.to_string())
}
