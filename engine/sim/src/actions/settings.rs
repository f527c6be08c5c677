//! The operator changes what bounds clients.

use crate::options;
use crate::random::Random;
use crate::world::World;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let before = &world.options.settings.limits;
    let has_long_queues = world.options.has_long_queues;
    let limits = options::limits(random, before.packet_bytes_max, has_long_queues);
    let text = format!("{limits:?}");
    // What has come and was not looked at falls under either.
    let bounds = world.oracle.bounds_mut();
    bounds.subscriptions = bounds
        .subscriptions
        .min(limits.subscriptions_per_connection);
    bounds.inflight_max = bounds.inflight_max.min(limits.inflight_max.into());
    bounds.has_short_queues |= options::has_short_queues(&limits);
    for role in &mut world.engine.shards {
        role.shard.set_limits(limits.clone());
    }
    world.options.settings.limits = limits;
    Some(text)
}
