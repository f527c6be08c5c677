//! What a cohort gets, and how far its members are.
//!
//! ```text
//!   stream   ├──────────┬───────────────┬────────────┤
//!          trimmed   hindmost   other groups        head
//!                    in step       apart: anywhere
//! ```
//!
//! Flows stand in two kinds of queue: those with something to sweep in the queue of the
//! *dirty*, and all whose streams hold a piece of an arena in one of its *laps*, by the age of
//! the oldest, so that whoever writes over old memory knows whom it concerns.

use crate::arena::{Arena, ArenaOffset, FrameNumber};
use crate::cohorts::CohortId;
use crate::log::LogId;
use crate::roster::Roster;
use crate::stream::{Pieces, Position, Stream};
use ringcast_codec::mqtt::Version;
use std::collections::VecDeque;

/// One cohort's.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) stream: Stream,
    /// Where the stream's head was when those apart were last looked at.
    pub(crate) looked: Position,
    /// Behind the last frame of a class that closes who is too slow for it.
    pub(crate) strict: Position,
    pub(crate) roster: Roster,
    /// Messages of classes that drop.
    pub(crate) dropped: u64,
    /// What those in lag, and those who are away, must not lose; only while there are some.
    pub(crate) log: Option<LogId>,
    /// Behind the last frame that its receivers acknowledge.
    pub(crate) acknowledged: Position,
    /// Behind the last frame that dies.
    pub(crate) dying: Position,
    /// Members that are away.
    pub(crate) away: u32,
    /// Sessions, here or away, that outlive their connections.
    pub(crate) persistent: u32,
    next_dirty: Option<CohortId>,
    /// By wire form: an earlier cohort with its number may still be among the laps of
    /// another.
    in_lap: [InLap; WireForm::COUNT],
    /// The largest packet that the members take, in bytes.
    pub(crate) packet_bytes_max: u32,
    pub(crate) wire_form: WireForm,
    is_dirty: bool,
    /// Those in lag are all going to be closed.
    pub(crate) gave_up: bool,
    /// The log lacks a message up to this one that there was no room for.
    pub(crate) lost_to: u64,
    /// The log lacks messages up to this one that are not kept for who is away, because
    /// nobody was in lag.
    pub(crate) unlogged: u64,
}

/// Whether a flow is in one of the laps of an arena, and who is behind it.
#[derive(Debug, Clone, Copy, Default)]
struct InLap {
    is_in: bool,
    next: Option<CohortId>,
}

/// What members' frames have in common: those of one wire form lie in one arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum WireForm {
    /// MQTT 3.1 and 3.1.1, whose PUBLISH is the same.
    #[default]
    Mqtt3,
    /// MQTT 5.
    Mqtt5,
}

impl WireForm {
    /// All there are.
    pub(crate) const ALL: [Self; 2] = [Self::Mqtt3, Self::Mqtt5];
    pub(crate) const COUNT: usize = Self::ALL.len();

    pub(crate) fn of(version: Version) -> Self {
        match version {
            Version::V31 | Version::V311 => Self::Mqtt3,
            Version::V5 => Self::Mqtt5,
        }
    }

    /// A version whose frames have this form.
    pub(crate) fn version(self) -> Version {
        match self {
            Self::Mqtt3 => Version::V311,
            Self::Mqtt5 => Version::V5,
        }
    }
}

impl Flow {
    /// What nobody in step needs ends here.
    pub(crate) fn swept(&self) -> Position {
        self.roster.hindmost().unwrap_or(self.stream.head())
    }

    /// Whether somebody in step was not sent all.
    pub(crate) fn is_behind(&self) -> bool {
        self.swept() < self.stream.head()
    }
}

/// All flows of a shard, by the numbers of their cohorts.
pub(crate) struct Flows {
    flows: Vec<Flow>,
    dirty_front: Option<CohortId>,
    dirty_back: Option<CohortId>,
}

impl Flows {
    /// For so many cohorts.
    pub(crate) fn new(cohorts: usize) -> Self {
        Self {
            flows: Vec::with_capacity(cohorts),
            dirty_front: None,
            dirty_back: None,
        }
    }

    pub(crate) fn get(&self, id: CohortId) -> &Flow {
        &self.flows[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: CohortId) -> &mut Flow {
        &mut self.flows[id.0 as usize]
    }

    /// A cohort without members is founded; its stream is empty.
    pub(crate) fn found(&mut self, id: CohortId, wire_form: WireForm, packet_bytes_max: u32) {
        let at = id.0 as usize;
        if at >= self.flows.len() {
            self.flows.resize_with(at + 1, Flow::default);
        }
        let flow = &mut self.flows[at];
        debug_assert!(flow.roster.len() == 0 && flow.log.is_none());
        debug_assert_eq!((flow.away, flow.persistent), (0, 0));
        flow.wire_form = wire_form;
        flow.packet_bytes_max = packet_bytes_max;
    }

    /// How many numbers were ever used.
    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    /// A cohort gets frames of this form, which is another one only if all are away.
    pub(crate) fn set_form(&mut self, id: CohortId, wire_form: WireForm, packet_bytes_max: u32) {
        let flow = self.get_mut(id);
        let before = (flow.wire_form, flow.packet_bytes_max);
        debug_assert!(flow.roster.len() == 0 || before == (wire_form, packet_bytes_max));
        (flow.wire_form, flow.packet_bytes_max) = (wire_form, packet_bytes_max);
    }

    /// Whether the cohort was founded and has members.
    pub(crate) fn has_members(&self, id: CohortId) -> bool {
        let flow = self.flows.get(id.0 as usize);
        flow.is_some_and(|flow| flow.roster.len() > 0 || flow.away > 0)
    }

    /// It has something to sweep.
    pub(crate) fn soil(&mut self, id: CohortId) {
        if std::mem::replace(&mut self.get_mut(id).is_dirty, true) {
            return;
        }
        match self.dirty_back.replace(id) {
            Some(back) => self.get_mut(back).next_dirty = Some(id),
            None => self.dirty_front = Some(id),
        }
    }

    /// The dirty one that waits longest, which is dirty no more.
    pub(crate) fn next_dirty(&mut self) -> Option<CohortId> {
        let id = self.dirty_front?;
        let flow = self.get_mut(id);
        flow.is_dirty = false;
        self.dirty_front = self.get_mut(id).next_dirty.take();
        if self.dirty_front.is_none() {
            self.dirty_back = None;
        }
        Some(id)
    }

    pub(crate) fn is_any_dirty(&self) -> bool {
        self.dirty_front.is_some()
    }
}

/// The flows that hold pieces of one arena, by the age of the oldest.
pub(crate) struct Laps {
    /// From the oldest on. A flow's oldest piece lies in its own lap or a later one.
    laps: VecDeque<Lap>,
    lap_bytes: u64,
    lap_frames: u64,
}

/// What was found in the oldest lap.
pub(crate) enum Oldest {
    /// A flow that was there.
    Flow(CohortId),
    /// Nothing, and so it is gone.
    LapGone,
    /// Nothing, and it is the only lap: nobody holds anything.
    Nothing,
}

struct Lap {
    at: ArenaOffset,
    frame: FrameNumber,
    first: Option<CohortId>,
}

/// Into how many laps an arena is divided.
const LAPS: u64 = 16;

impl Laps {
    pub(crate) fn new(arena_bytes: usize, arena_frames: usize) -> Self {
        Self {
            // A lap is longer than its share by one frame at the most.
            laps: VecDeque::with_capacity(LAPS as usize + 2),
            lap_bytes: arena_bytes as u64 / LAPS,
            lap_frames: arena_frames as u64 / LAPS,
        }
    }

    /// To be told of before a frame is written.
    pub(crate) fn before_frame(&mut self, arena: &Arena) {
        let (at, frame) = arena.head();
        let is_full = self.laps.back().is_none_or(|lap| {
            at.0 - lap.at.0 >= self.lap_bytes || frame.0 - lap.frame.0 >= self.lap_frames
        });
        if is_full {
            self.laps.push_back(Lap {
                at,
                frame,
                first: None,
            });
        }
    }

    /// Whether a frame lies in one of the laps, so that whoever gets it is known there.
    pub(crate) fn has(&self, frame: FrameNumber) -> bool {
        self.laps.front().is_some_and(|lap| lap.frame <= frame)
    }

    /// A flow has got this frame, which lies in one of the laps. If it held nothing before,
    /// it belongs to that.
    pub(crate) fn enter(&mut self, id: CohortId, flow: &mut Flow, frame: FrameNumber) {
        let in_lap = &mut flow.in_lap[flow.wire_form as usize];
        if in_lap.is_in {
            return;
        }
        let after = self.laps.partition_point(|lap| lap.frame <= frame);
        let lap = &mut self.laps[after - 1];
        *in_lap = InLap {
            is_in: true,
            next: lap.first.replace(id),
        };
    }

    /// Whether a frame of so many bytes can be written over nothing that anybody holds.
    pub(crate) fn is_clear(&self, arena: &Arena, bytes: usize) -> bool {
        let (at, frame) = arena.left_after(bytes, bytes, 1);
        let front = self.laps.front();
        front.is_none_or(|lap| lap.at >= at && lap.frame >= frame)
    }

    /// One of the flows whose oldest piece may lie in the oldest lap, which it leaves:
    /// whoever asks looks, and lets it [enter again](Self::enter_again).
    pub(crate) fn next_oldest(&mut self, form: WireForm, flows: &mut Flows) -> Oldest {
        let only_one = self.laps.len() == 1;
        let Some(lap) = self.laps.front_mut() else {
            return Oldest::Nothing;
        };
        let Some(id) = lap.first else {
            if only_one {
                return Oldest::Nothing;
            }
            self.laps.pop_front();
            return Oldest::LapGone;
        };
        lap.first = std::mem::take(&mut flows.get_mut(id).in_lap[form as usize]).next;
        Oldest::Flow(id)
    }

    /// A flow goes where its oldest piece lies, if it has one.
    pub(crate) fn enter_again(
        &mut self,
        id: CohortId,
        flow: &mut Flow,
        pieces: &Pieces,
        arena: &Arena,
    ) {
        let Some((_, oldest)) = flow.stream.oldest_piece(pieces, arena) else {
            return;
        };
        let after = self.laps.partition_point(|lap| lap.frame <= oldest);
        let lap = &mut self.laps[after.saturating_sub(1)];
        flow.in_lap[flow.wire_form as usize] = InLap {
            is_in: true,
            next: lap.first.replace(id),
        };
    }

    /// The first frame that does not lie in the oldest lap.
    pub(crate) fn second(&self) -> Option<FrameNumber> {
        self.laps.get(1).map(|lap| lap.frame)
    }
}
