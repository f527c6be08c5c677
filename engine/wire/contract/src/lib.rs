//! The tests that every [`Wire`] must pass, whatever it is made of.
//!
//! Who implements the trait implements [`World`] and [`Peer`] in a test and writes
//! [`contract_tests!`](crate::contract_tests) with a way to make a world. Each case is
//! a function over a world of its own. No case depends on time: it waits for events,
//! and lets the world go on meanwhile.

#![forbid(unsafe_code)]

mod bench;
pub mod closing;
pub mod receiving;
pub mod sending;

pub use bench::Bench;

use ringcast_wire::Wire;

/// A wire and the network that it hangs on.
pub trait World {
    /// What is tested.
    type Wire: Wire;
    /// The other ends of its connections.
    type Peer: Peer;

    /// How often a case lets the world go on for one event before it gives up.
    const PAUSES_MAX: u32;

    /// The wire, always the same.
    fn wire(&mut self) -> &mut Self::Wire;

    /// Two ends of a new connection.
    fn pair(&mut self) -> (<Self::Wire as Wire>::Socket, Self::Peer);

    /// Lets the network and its time go on for a while.
    fn pause(&mut self);
}

/// The other end of a connection. Nothing here waits.
pub trait Peer {
    /// Sends, and tells how many bytes went out.
    fn send(&mut self, bytes: &[u8]) -> usize;

    /// Takes what has arrived, at most so many bytes.
    fn take(&mut self, most: usize) -> Taken;

    /// Sends no more.
    fn finish(&mut self);

    /// Breaks the connection: the other end is told that it was reset.
    fn reset(self);
}

/// What arrived at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The end: all that was sent was taken before.
    End,
    /// The connection was reset.
    Reset,
}

/// A module of `#[test]` functions, one for each case.
///
/// ```ignore
/// contract_tests!(|connections| MyWorld::new(connections));
/// ```
#[macro_export]
macro_rules! contract_tests {
    ($world:expr) => {
        $crate::contract_tests!($world, receiving: [
            input_before_the_adoption_is_told,
            input_arrives_whole_and_in_order,
            a_full_buffer_means_more,
            no_input_is_nothing,
            input_after_an_answer_is_told_again,
            input_comes_before_the_end,
            the_end_is_told_like_input,
            a_half_closed_peer_still_receives,
            a_reset_is_told,
            a_batch_of_many_reads,
            events_are_told_a_few_at_a_time,
        ]);
        $crate::contract_tests!($world, sending: [
            the_same_bytes_reach_everyone,
            each_gets_its_own_bytes,
            a_blocked_connection_goes_on_where_it_stopped,
            a_send_stops_at_any_offset,
            room_made_before_the_reap_is_told,
            the_blocked_hurt_nobody_else,
            a_broken_connection_fails,
            a_blocked_connection_that_breaks_is_told,
            nothing_can_be_sent,
        ]);
        $crate::contract_tests!($world, closing: [
            an_abrupt_close_ends_and_is_gone,
            after_a_close_only_gone_is_told,
            an_index_is_used_again_at_once,
            a_polite_close_delivers_the_last_bytes,
            a_polite_close_outlasts_what_still_comes,
            a_polite_close_of_a_silent_peer_ends,
            a_polite_close_can_be_cut_short,
            a_blocked_connection_can_be_closed,
            a_reset_connection_can_be_closed_politely,
            many_are_closed_at_once,
            a_close_waits_for_no_other_connection,
        ]);
    };
    ($world:expr, $group:ident: [$($case:ident),* $(,)?]) => {
        mod $group {
            use super::*;
            $(
                #[test]
                fn $case() {
                    let world = $world;
                    $crate::$group::$case(world);
                }
            )*
        }
    };
}
