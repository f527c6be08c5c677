//! A client that took nothing takes something again: some of it, or all.

use crate::random::Random;
use crate::world::World;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    if random.once_in(8) {
        let clients = world.clients.iter_mut();
        clients.for_each(|client| client.is_stalled = false);
        return Some("all".to_owned());
    }
    let stalled = world.clients.iter().enumerate();
    let stalled: Vec<_> = stalled
        .filter(|(_, client)| client.is_stalled)
        .map(|(place, _)| place)
        .collect();
    if stalled.is_empty() {
        return None;
    }
    let client = &mut world.clients[*random.of(&stalled)];
    client.is_stalled = random.once_in(3);
    let most = random.power(0, 14) as usize;
    client.take_at_most(&mut world.network.borrow_mut(), most);
    Some(format!("{}, {most} bytes", client.socket.0))
}
