//! Who a newcomer is: the question, and those who can answer it.

use std::fmt;
use std::net::SocketAddr;

/// What a newcomer says of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its client identifier, the assigned one if it brought none.
    pub client_id: Box<str>,
    /// Its user name.
    pub user_name: Option<Box<str>>,
    /// Its password; MQTT 5 allows one without a user name.
    pub password: Option<Box<[u8]>>,
    /// Where it comes from.
    pub peer: SocketAddr,
}

impl fmt::Debug for Claim {
    /// All but the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Claim")
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// What comes of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may come in, as this user; `None` is nobody in particular.
    Granted(Option<Box<str>>),
    /// It may not.
    Denied(Denial),
}

/// Why somebody may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// There is no such user, or the password is another; which of the two is not said.
    BadUserNameOrPassword,
    /// It may not connect, whatever its password.
    NotAuthorized,
    /// It is banned.
    Banned,
    /// Whoever knows can't be asked now.
    Unavailable,
}

/// Somebody who knows who may come in.
pub trait Authenticate: Send + Sync {
    /// Judges a claim.
    fn authenticate(&self, claim: &Claim) -> Verdict;

    /// Whether a judgement takes long or waits. Those run on threads beside the event
    /// loop, a bounded number at once; quick ones run on the loop itself.
    fn is_costly(&self) -> bool;
}

/// Everybody may come in, as nobody in particular: a user name or password that a client
/// brings proves nothing and is not looked at.
///
/// Where that is safe is for the one who uses it to decide: on loopback, usually.
#[derive(Debug, Clone, Copy)]
pub struct Anonymous;

impl Authenticate for Anonymous {
    fn authenticate(&self, _claim: &Claim) -> Verdict {
        Verdict::Granted(None)
    }

    fn is_costly(&self) -> bool {
        false
    }
}
