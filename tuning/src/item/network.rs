//! TCP as the whole host does it.

use super::sysctl::{at_least, exactly, path};
use super::{Fix, Item, Look, Severity, Situation, Step};
use crate::plan::tcp_bytes;

const PAGE_BYTES: u64 = 4_096;
/// What a fast reader far away has on its way to it.
const WINDOW_BYTES: u64 = 1 << 20;

pub(super) const ITEMS: &[Item] = &[
    Item {
        name: "net.core.somaxconn",
        severity: Severity::Must,
        fix: Fix::Apply,
        why: "connections that wait for the door beyond it are dropped, and try again after a second; after a restart all clients come at once",
        look: |s| at_least(s, "net.core.somaxconn", &[backlog(s)]),
    },
    Item {
        name: "net.ipv4.tcp_max_syn_backlog",
        severity: Severity::Must,
        fix: Fix::Apply,
        why: "the same for connections that are only half open",
        look: |s| at_least(s, "net.ipv4.tcp_max_syn_backlog", &[backlog(s)]),
    },
    Item {
        name: "net.ipv4.tcp_mem",
        severity: Severity::Must,
        fix: Fix::Apply,
        why: "in pages, for all sockets together: above the second number TCP slows every client down, above the third it drops",
        look: tcp_mem,
    },
    Item {
        name: "net.ipv4.tcp_wmem",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "the third number bounds what is on its way to one client; it costs memory only while it is used",
        look: |s| at_least(s, "net.ipv4.tcp_wmem", &[4_096, 16_384, WINDOW_BYTES]),
    },
    Item {
        name: "net.ipv4.tcp_rmem",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "the third number bounds what a publisher has on its way to the engine",
        look: |s| at_least(s, "net.ipv4.tcp_rmem", &[4_096, 87_380, WINDOW_BYTES]),
    },
    Item {
        name: "net.core.rmem_max",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "feeds that ask for a receive buffer get no more than this",
        look: |s| at_least(s, "net.core.rmem_max", &[WINDOW_BYTES]),
    },
    Item {
        name: "net.core.wmem_max",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "whoever asks for a send buffer gets no more than this; the engine's own size themselves",
        look: |s| at_least(s, "net.core.wmem_max", &[212_992]),
    },
    Item {
        name: "net.ipv4.tcp_ehash_entries",
        severity: Severity::Could,
        fix: Fix::Boot,
        why: "the table in which every packet finds its connection: too small a one makes each of a million sends slower",
        look: connection_table,
    },
    Item {
        name: "net.ipv4.ip_local_reserved_ports",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "an outgoing connection, or what is left of one, may hold a port that the engine wants to listen on: it cannot start for a minute",
        look: ports,
    },
    Item {
        name: "net.ipv4.tcp_slow_start_after_idle",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "after a quiet second the first burst to each client would be cut to ten packets",
        look: |s| exactly(s, "net.ipv4.tcp_slow_start_after_idle", "0"),
    },
    Item {
        name: "net.ipv4.tcp_congestion_control",
        severity: Severity::Should,
        fix: Fix::Apply,
        why: "bbr sends at a pace of its own: in one's own network that delays bursts and takes a timer per connection",
        look: congestion_control,
    },
    Item {
        name: "net.ipv4.tcp_notsent_lowat",
        severity: Severity::Could,
        fix: Fix::Operator("nothing needs doing: the engine sets it on each of its sockets"),
        why: "what is unsent belongs in the engine, where a policy decides on it, and not in the kernel",
        look: |s| match s.host.value(&path("net.ipv4.tcp_notsent_lowat")) {
            Ok(now) => Look::of(now, "any: each socket sets its own", true),
            Err(refusal) => Look::refused(&refusal),
        },
    },
    Item {
        name: "net.core.busy_read",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "the engine never blocks in a read of a socket; others on the host would spin on its housekeeping cores",
        look: |s| exactly(s, "net.core.busy_read", "0"),
    },
    Item {
        name: "net.core.busy_poll",
        severity: Severity::Could,
        fix: Fix::Apply,
        why: "the same for poll and select, in which the door waits",
        look: |s| exactly(s, "net.core.busy_poll", "0"),
    },
    Item {
        name: "net.netfilter.nf_conntrack_max",
        severity: Severity::Must,
        fix: Fix::Apply,
        why: "a firewall that tracks connections drops packets of those that find its table full; better still, do not track the engine's ports",
        look: |s| {
            let name = "net.netfilter.nf_conntrack_max";
            if !s.host.has(&path(name)) {
                return Look::NotHere("connections are not tracked here".into());
            }
            at_least(
                s,
                name,
                &[s.target.connections + s.target.connections / 4 + 65_536],
            )
        },
    },
];

/// All clients come back within seconds of a restart.
fn backlog(situation: &Situation<'_>) -> u64 {
    (situation.target.connections / 16).clamp(4_096, 65_535)
}

fn tcp_mem(situation: &Situation<'_>) -> Look {
    let needed = tcp_bytes(situation.target.connections).div_ceil(PAGE_BYTES);
    // Not more than half of the memory, whatever is asked for.
    let most = situation.topology.memory_bytes_max() / 2 / PAGE_BYTES;
    let least = [needed * 3 / 4, needed, needed * 2].map(|pages| pages.min(most));
    at_least(situation, "net.ipv4.tcp_mem", &least)
}

fn connection_table(situation: &Situation<'_>) -> Look {
    // Negative in a network namespace that shares the table of the first.
    match situation
        .host
        .number::<i64>(&path("net.ipv4.tcp_ehash_entries"))
    {
        Ok(entries) => {
            let entries = entries.unsigned_abs();
            let wanted = (situation.target.connections / 2)
                .next_power_of_two()
                .max(65_536);
            Look::of(entries, format!("≥ {wanted}"), entries >= wanted)
                .with([Step::Boot(format!("thash_entries={}", wanted.max(entries)))])
        }
        Err(refusal) => Look::refused(&refusal),
    }
}

fn ports(situation: &Situation<'_>) -> Look {
    let host = situation.host;
    let at = path("net.ipv4.ip_local_reserved_ports");
    let (range, reserved) = match (
        host.value(&path("net.ipv4.ip_local_port_range")),
        host.value(&at),
    ) {
        (Ok(range), Ok(reserved)) => (range, reserved),
        (Err(refusal), _) | (_, Err(refusal)) => return Look::refused(&refusal),
    };
    let mut ends = range
        .split_whitespace()
        .filter_map(|end| end.parse::<u16>().ok());
    let (Some(low), Some(high)) = (ends.next(), ends.next()) else {
        return Look::Unseen(format!("'{range}' is no range of ports"));
    };
    let is_reserved = |port: u16| {
        reserved.split(',').any(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            first.parse().is_ok_and(|first: u16| first <= port)
                && last.parse().is_ok_and(|last: u16| port <= last)
        })
    };
    let ports = situation.target.ports.iter().copied();
    let in_danger: Vec<_> = ports
        .filter(|port| (low..=high).contains(port) && !is_reserved(*port))
        .collect();
    let spell = |ports: &[u16]| {
        ports
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let kept = [reserved.clone(), spell(&in_danger)];
    let kept: Vec<_> = kept
        .iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect();
    let shown = if reserved.is_empty() {
        "none".to_owned()
    } else {
        reserved.clone()
    };
    let wanted = if in_danger.is_empty() {
        format!("{} outside", spell(&situation.target.ports))
    } else {
        kept.join(",")
    };
    Look::of(
        format!("{shown} of {low}-{high}"),
        wanted,
        in_danger.is_empty(),
    )
    .with([Step::write(at, kept.join(","))])
}

fn congestion_control(situation: &Situation<'_>) -> Look {
    let at = path("net.ipv4.tcp_congestion_control");
    let now = match situation.host.value(&at) {
        Ok(now) => now,
        Err(refusal) => return Look::refused(&refusal),
    };
    if situation.target.wide_area {
        return Look::of(&now, "any: clients come from the internet", true)
            .with([Step::write(at, &now)]);
    }
    let is_well = !now.starts_with("bbr");
    let there = situation
        .host
        .value(&path("net.ipv4.tcp_available_congestion_control"))
        .unwrap_or_default();
    let other = ["cubic", "reno"]
        .into_iter()
        .find(|name| there.split(' ').any(|one| one == *name));
    let wanted = if is_well {
        now.as_str()
    } else {
        other.unwrap_or("cubic")
    };
    // Whatever becomes the default is allowed to everybody from then on.
    let allowed = path("net.ipv4.tcp_allowed_congestion_control");
    Look::of(&now, "cubic or reno", is_well).with([Step::Affects(allowed), Step::write(at, wanted)])
}
