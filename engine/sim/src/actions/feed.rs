//! The feed brings messages.

use crate::random::Random;
use crate::topics::{Publisher, TOPICS};
use crate::world::World;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let count = random.between(1, world.options.burst_max);
    let first = TOPICS
        .iter()
        .position(|topic| topic.publisher == Publisher::Feed)?;
    let mut offered = 0;
    for _ in 0..count {
        let topic = first + random.place(TOPICS.len() - first);
        let bytes = *random.of(&world.options.feed_bytes);
        let qos = random.below(3) as u8;
        let lives = random.once_in(16).then(|| *random.of(&[1, 100]));
        if !world.feed(topic, bytes, qos, lives) {
            break;
        }
        offered += 1;
    }
    Some(format!("{offered} of {count} messages"))
}
