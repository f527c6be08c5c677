//! The operator lets the engine go down, long before the end.

use crate::world::World;

pub(super) fn act(world: &mut World) -> Option<String> {
    if world.is_draining {
        return None;
    }
    world.is_draining = true;
    world.oracle.bounds_mut().is_draining = true;
    for role in &mut world.engine.shards {
        role.shard.drain(5, 20);
    }
    Some("the engine".to_owned())
}
