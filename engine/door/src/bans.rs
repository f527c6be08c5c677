//! Who may not come in, whoever says so.

use std::collections::HashSet;
use std::net::IpAddr;

/// Lists of those who are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bans {
    /// Addresses, IPv4 ones as such.
    pub addresses: HashSet<IpAddr>,
    /// Client identifiers.
    pub client_ids: HashSet<Box<str>>,
    /// Users: whoever has shown to be one of them.
    pub users: HashSet<Box<str>>,
}
