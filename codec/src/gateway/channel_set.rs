//! Channels, each at most once, without memory of their own.

use crate::market::Channel;

/// A set of [`Channel`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelSet {
    /// One bit for each of [`Channel::ALL`], in that order.
    bits: u32,
}

impl ChannelSet {
    /// Puts a channel in.
    pub fn insert(&mut self, channel: Channel) {
        self.bits |= Self::bit(channel);
    }

    /// Whether a channel is in.
    #[must_use]
    pub fn contains(self, channel: Channel) -> bool {
        self.bits & Self::bit(channel) != 0
    }

    /// Those that are in, in the order of [`Channel::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Channel> {
        Channel::ALL
            .into_iter()
            .filter(move |&channel| self.contains(channel))
    }

    fn bit(channel: Channel) -> u32 {
        let place = Channel::ALL.iter().position(|&other| other == channel);
        1 << place.expect("ALL has every channel")
    }
}

impl FromIterator<Channel> for ChannelSet {
    fn from_iter<I: IntoIterator<Item = Channel>>(channels: I) -> Self {
        let mut set = Self::default();
        channels.into_iter().for_each(|channel| set.insert(channel));
        set
    }
}
