//! What a newcomer's first bytes say.
//!
//! Pure: bytes in, a finding out. The bytes are looked at again each time that more have
//! come, which costs a look at the fixed header until the packet is whole.

use crate::authenticate::Claim;
use crate::refusal::{Refusal, TurnedAway};
use ringcast_codec::Progress;
use ringcast_codec::mqtt::{Connect, ConnectFault, Fault, Version};
use std::net::SocketAddr;
use std::sync::Arc;

/// A CONNECT that the codec accepts, as far as the door needs it.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) version: Version,
    pub(crate) claim: Arc<Claim>,
    /// Whether the client identifier is one that the door made up.
    pub(crate) is_assigned: bool,
}

/// Looks at all that a newcomer sent so far. `None` while CONNECT is not whole.
pub(crate) fn examine(
    received: &[u8],
    connect_bytes_max: usize,
    peer: SocketAddr,
) -> Option<Result<Opening, TurnedAway>> {
    let connect = match Connect::decode(received, connect_bytes_max) {
        Ok(Progress::Done(connect, _)) => connect,
        Ok(Progress::Partial { .. }) => return None,
        Err(fault) if fault.fault == Fault::PacketTooLarge => {
            return oversize(received).map(|fault| Err(fault.into()));
        }
        Err(fault) => return Some(Err(fault.into())),
    };
    // [MQTT-4.12.0-1]
    if connect.properties.authentication_method().is_some() {
        let refusal = Refusal::AuthenticationMethod;
        return Some(Err(TurnedAway::new(connect.version, refusal)));
    }
    let is_assigned = connect.client_id.is_empty();
    let client_id = match is_assigned {
        true => random_client_id(),
        false => connect.client_id.as_str().into(),
    };
    Some(Ok(Opening {
        version: connect.version,
        claim: Arc::new(Claim {
            client_id,
            user_name: connect.user_name.map(|name| name.as_str().into()),
            password: connect.password.map(|password| password.as_bytes().into()),
            peer,
        }),
        is_assigned,
    }))
}

/// The bytes of CONNECT that are enough to tell its version: the longer protocol name
/// with its length, and the level.
const VERSION_BYTES: usize = 2 + "MQIsdp".len() + 1;

/// The fault of a CONNECT that is too large, in the version that it names, once the
/// bytes that name it are there. The answer depends on that version, and must not depend
/// on how the network cut the stream.
///
/// The codec refuses the length before it looks further, so it is shown the beginning as
/// a packet of its own, too short to be right: its fault names the version.
fn oversize(received: &[u8]) -> Option<ConnectFault> {
    let length = &received[1..];
    let header = 2 + length.iter().take_while(|byte| **byte >= 0x80).count();
    let beginning = received.get(header..header + VERSION_BYTES)?;
    let mut short = [0; 2 + VERSION_BYTES];
    short[0] = 0x10;
    short[1] = VERSION_BYTES as u8;
    short[2..].copy_from_slice(beginning);
    let too_large = |version| ConnectFault {
        fault: Fault::PacketTooLarge,
        version,
    };
    Some(match Connect::decode(&short, short.len()) {
        Err(ConnectFault {
            version: Some(version),
            ..
        }) => too_large(Some(version)),
        // Not MQTT, or a version that is not served, and that counts for more.
        Err(fault) => fault,
        Ok(_) => too_large(None),
    })
}

/// An identifier for a client that brought none [MQTT-3.1.3-6], [MQTT3-3.1.3-6]: unique,
/// and so random that nobody finds another's session by guessing.
fn random_client_id() -> Box<str> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the kernel always has random bytes once it has started");
    format!("assigned-{:032x}", u128::from_ne_bytes(random)).into()
}
