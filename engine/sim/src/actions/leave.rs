//! A client says goodbye, and then closes or waits for the server to.

use crate::oracle::link::Goodbye;
use crate::random::Random;
use crate::world::World;
use ringcast_referee::What;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let closes = random.once_in(2);
    let socket = world.clients[place].socket;
    world.clients[place].say_goodbye();
    world.flush(place);
    let link = world.oracle.link_mut(socket)?;
    link.causes.left = true;
    link.goodbye = match world.clients[place].has_unsent() {
        true => Goodbye::Unclear,
        false => Goodbye::Said,
    };
    if closes && !world.clients[place].has_unsent() {
        world.testify(socket, What::ClosedByClient);
        world.network.borrow_mut().client_finishes(socket);
    }
    Some(format!("{}, closes: {closes}", socket.0))
}
