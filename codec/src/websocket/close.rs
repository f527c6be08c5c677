//! The body of a Close frame: a code and perhaps a reason.

use super::Fault;
use core::str;

/// A close code that may stand in a Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server shuts down, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of message that is not accepted here.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// Data that does not fit the message's kind.
    pub const INVALID_DATA: Self = Self(1007);
    /// A message against our policy, or nothing more precise to say.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// Something unexpected on our side.
    pub const INTERNAL_ERROR: Self = Self(1011);

    /// `None` for codes that never travel: 0 to 999 and from 5000 are no codes,
    /// 1004, 1005, 1006 and 1015 are reserved for other uses, and those that
    /// neither RFC 6455 nor its registry (11.7, up to 1014) define have no
    /// meaning yet. `[RFC6455-7.4.1-5]` `[RFC6455-7.4.1-6]` `[RFC6455-7.4.1-7]`
    /// `[RFC6455-7.4.1-14]` `[RFC6455-7.4.2-1]` `[RFC6455-7.4.2-2]`
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number in the frame.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Why a connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close<'a> {
    /// For programs.
    pub code: CloseCode,
    /// For people who look for faults; at most 123 bytes.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// `None` for an empty body, which is legal. `[RFC6455-5.5.1-1]`
    pub(super) fn decode(body: &'a [u8]) -> Result<Option<Self>, Fault> {
        let Some((&code, reason)) = body.split_first_chunk() else {
            return if body.is_empty() {
                Ok(None)
            } else {
                Err(Fault::CloseBodyTooShort)
            };
        };
        let code = CloseCode::new(u16::from_be_bytes(code)).ok_or(Fault::CloseCodeForbidden)?;
        let reason = str::from_utf8(reason).map_err(|_| Fault::CloseReasonNotUtf8)?;
        Ok(Some(Self { code, reason }))
    }
}
