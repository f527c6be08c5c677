//! What the door hands to a shard.

use std::net::SocketAddr;

/// A connection whose opening the door has read and granted: it sent a whole MQTT
/// CONNECT that the codec accepts, and its sender is who it says.
///
/// The door answers nothing to it: CONNACK is its shard's.
#[derive(Debug)]
pub struct Newcomer<Socket> {
    /// The connection itself.
    pub socket: Socket,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Who it is; `None` if it is nobody in particular.
    pub user: Option<Box<str>>,
    /// All that it sent so far: CONNECT, and whatever followed it.
    pub received: Box<[u8]>,
    /// The client identifier that it was given because it brought none.
    pub assigned_client_id: Option<Box<str>>,
}
