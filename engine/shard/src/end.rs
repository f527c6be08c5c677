//! Why a connection ends, and what its client is told.

use ringcast_codec::mqtt::{Fault, ReasonCode};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client said so.
    Goodbye,
    /// The peer closed it, or it broke.
    Lost,
    /// The client broke the protocol in a way that this reason names.
    Fault(ReasonCode),
    /// The client was silent for longer than it promised.
    KeepAlive,
    /// The client did not take what it was sent.
    TooSlow,
    /// Another connection of the same client came.
    TakenOver,
    /// There is no memory left for it.
    Quota,
    /// The engine is going down.
    Drained,
    /// It could not be admitted; the client was told why in CONNACK.
    Refused,
}

impl End {
    /// How many there are.
    pub const COUNT: usize = 9;

    /// What metrics call each, in their order.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "goodbye",
        "lost",
        "fault",
        "keep_alive",
        "too_slow",
        "taken_over",
        "quota",
        "drained",
        "refused",
    ];

    /// Its place among the names.
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            Self::Goodbye => 0,
            Self::Lost => 1,
            Self::Fault(_) => 2,
            Self::KeepAlive => 3,
            Self::TooSlow => 4,
            Self::TakenOver => 5,
            Self::Quota => 6,
            Self::Drained => 7,
            Self::Refused => 8,
        }
    }

    /// What DISCONNECT says, if anybody is to hear it.
    pub(crate) fn reason(self) -> Option<ReasonCode> {
        match self {
            Self::Goodbye | Self::Lost | Self::Refused => None,
            Self::Fault(reason) => Some(reason),
            Self::KeepAlive => Some(ReasonCode::KeepAliveTimeout),
            Self::TooSlow | Self::Quota => Some(ReasonCode::QuotaExceeded),
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
            Self::Drained => Some(ReasonCode::ServerShuttingDown),
        }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault.reason())
    }
}
