//! What keeps a run from its end, each as a sentence that says what to do.

use ringcast_codec::mqtt::ReasonCode;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// Why a connection could not be made.
pub(crate) fn connection_failed(
    source: Option<SocketAddr>,
    destination: SocketAddr,
    error: &io::Error,
) -> String {
    let remedy = match error.kind() {
        ErrorKind::ConnectionRefused => {
            "nobody listens there: start the server, or name its address with --target".to_owned()
        }
        ErrorKind::AddrNotAvailable => match source {
            Some(source) => format!(
                "{} is no address of this host, or has no port left towards there: name others \
                 with --source, or more ports of the server with --target",
                source.ip()
            ),
            None => "no port is left towards there: name source addresses with --source, or more \
                     ports of the server with --target"
                .to_owned(),
        },
        ErrorKind::TimedOut => {
            "no answer came in time: look whether the server keeps up, and whether something \
             drops packets; a lower --connect-rate or a higher connect.timeout may help"
                .to_owned()
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
            "the server hung up before it accepted: look into its log, and whether it speaks \
             MQTT there, with or without TLS"
                .to_owned()
        }
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
            "there is no way to it: look at the address and the routes".to_owned()
        }
        _ => match error.raw_os_error() {
            Some(libc_emfile) if libc_emfile == EMFILE => {
                "this process may have no more descriptors: raise ulimit -n".to_owned()
            }
            _ => "the system refused it".to_owned(),
        },
    };
    format!("can not connect to {destination} ({error}): {remedy}")
}

/// "Too many open files".
const EMFILE: i32 = 24;

/// Why a server did not accept a client.
pub(crate) fn refused(destination: SocketAddr, client: &str, reason: ReasonCode) -> String {
    let remedy = match reason {
        ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized => {
            "name a user and a password that it knows (--user, --password)"
        }
        ReasonCode::ClientIdentifierNotValid => "give clients other identifiers (--client-id)",
        ReasonCode::UnsupportedProtocolVersion => "speak another version (--mqtt 3.1.1)",
        ReasonCode::ServerBusy | ReasonCode::ServerUnavailable | ReasonCode::QuotaExceeded => {
            "raise the server's limits, or connect more slowly (--connect-rate)"
        }
        _ => "look into the server's log",
    };
    format!("{destination} refused client {client}: {reason:?}; {remedy}")
}
