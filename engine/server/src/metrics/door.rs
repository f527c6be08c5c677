//! What the door has seen.

use super::Source;
use super::exposition::{Descriptor, Exposition, Kind, Unit};
use ringcast_door::{Counters, Refusal};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The counters of a door.
pub(crate) struct DoorMetrics(pub(crate) Arc<Counters>);

impl Source for DoorMetrics {
    fn write(&self, text: &mut Exposition) {
        let door = &self.0;
        let counters = [
            ("door_accepted", "Connections accepted.", &door.accepted),
            (
                "door_handed_over",
                "Newcomers that went to their shard.",
                &door.handed_over,
            ),
            (
                "door_timed_out",
                "Newcomers closed because their CONNECT was not whole in time.",
                &door.timed_out,
            ),
            (
                "door_displaced",
                "Newcomers closed while their CONNECT was not whole, to make room for others.",
                &door.displaced,
            ),
            (
                "door_left",
                "Newcomers that left before they were handed over or refused.",
                &door.left,
            ),
            (
                "door_aborted",
                "Connections that were gone before they could be accepted.",
                &door.aborted,
            ),
            (
                "door_accept_failed",
                "Times that accepting failed for want of descriptors or memory.",
                &door.accept_failed,
            ),
        ];
        for (name, help, count) in counters {
            family(text, name, help, Kind::Counter);
            text.number(&[], count.load(Relaxed));
        }
        let help = "Connections accepted that are neither handed over nor gone.";
        family(text, "door_newcomers", help, Kind::Gauge);
        text.number(&[], door.newcomers.load(Relaxed));
        let help = "Newcomers refused, by reason.";
        family(text, "door_refused", help, Kind::Counter);
        for refusal in Refusal::ALL {
            text.number(&[("reason", refusal.name())], door.refused(*refusal));
        }
    }
}

fn family(text: &mut Exposition, name: &'static str, help: &'static str, kind: Kind) {
    text.family(&Descriptor {
        name,
        help,
        kind,
        unit: Unit::None,
    });
}
