//! Descriptors: how many connections a lane may have, and how many lanes that makes.
//!
//! A direct descriptor takes no entry of the process's table, but a ring's table of them
//! may have at most RLIMIT_NOFILE entries (io_uring_register(2), EMFILE). So a low limit
//! means more lanes, not fewer connections. Where connections have plain descriptors
//! ([`Files::Plain`]) the limit bounds their number.

use super::{Call, Missing, Needs};
use crate::Files;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The most connections of a lane. To close one, the kernel looks for its poll among
/// those of the ring, of which it keeps one list in a hundred or so: with very many
/// connections in a ring that takes longer than all else.
const LANE_CONNECTIONS_MAX: u64 = 16 * 1024;

/// Plain descriptors that are not for lanes or executors: listeners, newcomers that
/// have not been handed over, files, the administrator's connections.
const DESCRIPTORS_OTHER: u64 = 512;

/// Plain descriptors of an executor: its rings, eventfds and files.
const DESCRIPTORS_PER_EXECUTOR: u64 = 16;

/// With fewer than this nothing is started, whatever the needs: tables would be so small
/// that checking them costs more than what they hold.
const DESCRIPTORS_MIN: u64 = 1024;

/// How the connections of a shard are spread over lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tables {
    /// Lanes of the shard, 1 or more.
    pub lanes: u32,
    /// Connections of each lane, 1 to 16,384. All lanes together have as many as there
    /// may be, or more.
    pub connections: u32,
}

/// The fewest lanes that hold so many connections under such a limit of descriptors, all
/// of one size, as [`Settings`](crate::Settings) describe them. The limit is that of
/// [`raise_descriptor_limit`].
#[must_use]
pub fn lanes_for(connections: u32, files: Files, descriptors_max: u64) -> Tables {
    let most = match files {
        Files::Direct => descriptors_max.clamp(1, LANE_CONNECTIONS_MAX),
        Files::Plain => LANE_CONNECTIONS_MAX,
    };
    let all = connections.max(1);
    let connections = (most as u32).min(all);
    Tables {
        lanes: all.div_ceil(connections),
        connections,
    }
}

/// Raises the soft limit of descriptors of this process to the hard one, which needs no
/// privilege, and returns it. Processes started afterwards inherit it.
///
/// # Errors
/// [`Missing::Refused`] if the kernel refuses, as where the hard limit is above the sysctl
/// `fs.nr_open` (setrlimit(2)).
pub fn raise_descriptor_limit() -> Result<u64, Missing> {
    let refused = |call| move |errno| Missing::Refused { call, errno };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(refused(Call::ReadLimits))?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(refused(Call::SetLimits))?;
    }
    Ok(hard)
}

/// The limit of descriptors that the needs ask for at least: a power of two, from 1,024.
/// With a lower limit there are more lanes, each of which takes a descriptor of its own,
/// so that there is one below which they do not fit.
pub(super) fn needed(needs: &Needs, files: Files) -> u64 {
    let mut limit = DESCRIPTORS_MIN;
    while plain(needs, files, limit) > limit {
        limit *= 2;
    }
    limit
}

/// Plain descriptors of the whole process under such a limit.
fn plain(needs: &Needs, files: Files, descriptors_max: u64) -> u64 {
    let lanes = lanes_for(needs.shard_connections_max, files, descriptors_max).lanes;
    let connections = match files {
        Files::Direct => 0,
        Files::Plain => u64::from(needs.shards) * u64::from(needs.shard_connections_max),
    };
    connections
        + u64::from(needs.shards) * u64::from(lanes)
        + u64::from(needs.executors) * DESCRIPTORS_PER_EXECUTOR
        + DESCRIPTORS_OTHER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_hold_all_connections_and_are_as_few_as_the_limit_allows() {
        let lanes = |connections, limit| {
            let Tables { lanes, connections } = lanes_for(connections, Files::Direct, limit);
            (lanes, connections)
        };
        assert_eq!(lanes(1_000_000, 20_000), (62, 16_384));
        assert_eq!(lanes(1_000_000, 10_000), (100, 10_000));
        assert_eq!(lanes(1_000_001, 10_000), (101, 10_000));
        assert_eq!(lanes(10_000, u64::MAX), (1, 10_000));
        assert_eq!(lanes(u32::MAX, u64::MAX), (262_144, 16_384));
        assert_eq!(lanes(0, 1024), (1, 1));
        assert_eq!(lanes(3, 0), (3, 1));
        assert_eq!(lanes_for(40_000, Files::Plain, 1024).lanes, 3);
        for all in 1..300 {
            for limit in 1..40 {
                let (lanes, each) = lanes(all, limit);
                assert!(lanes * each >= all && u64::from(each) <= limit);
                assert!(u64::from(lanes - 1) * limit < u64::from(all));
            }
        }
    }

    #[test]
    fn plain_descriptors_are_needed_for_each_connection() {
        let needs = |shards, shard_connections_max| Needs {
            shards,
            shard_connections_max,
            submission_entries: 256,
            completion_entries: 1024,
            executors: 0,
            executor_ring_entries: 128,
            executor_memory_bytes: 0,
        };
        assert_eq!(needed(&needs(1, 400), Files::Plain), 1024);
        assert_eq!(needed(&needs(2, 1000), Files::Plain), 4096);
        assert_eq!(needed(&needs(2, 50_000), Files::Plain), 1 << 17);
    }

    #[test]
    fn the_limit_leaves_room_for_the_lanes_own_descriptors() {
        let needed = |shards, shard_connections_max, executors| {
            let needs = Needs {
                shards,
                shard_connections_max,
                submission_entries: 256,
                completion_entries: 1024,
                executors,
                executor_ring_entries: 128,
                executor_memory_bytes: 0,
            };
            needed(&needs, Files::Direct)
        };
        assert_eq!(needed(1, 1, 0), 1024);
        assert_eq!(needed(2, 10_000, 3), 1024);
        assert_eq!(needed(1, 512 * 1024, 0), 1024, "512 lanes and 512 others");
        assert_eq!(needed(1, 512 * 1024 + 1, 0), 2048);
        assert_eq!(needed(1, 1_000_000, 0), 2048);
        assert_eq!(needed(1, 1, 31), 1024);
        assert_eq!(
            needed(1, 1, 32),
            2048,
            "512 for executors, 512 others, 1 lane"
        );
        assert_eq!(needed(64, 1_000_000, 64), 16384);
        assert_eq!(needed(1 << 21, 1, 0), 1 << 22, "a lane each");
    }
}
