//! The processes that share a run: those that are started for it, and those that join from
//! elsewhere.

use super::{Options, RunError};
use crate::link::Remote;
use crate::part::News;
use crate::scenario::Scenario;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// How long processes may take to join.
const JOIN_MAX: Duration = Duration::from_secs(60);

/// Processes that were started for a run; those that are left end with it.
#[derive(Debug, Default)]
pub(super) struct Children(Vec<Child>);

impl Children {
    /// Starts the processes of a scenario, and waits for them and for those from elsewhere.
    pub(super) fn join(
        &mut self,
        scenario: &Scenario,
        options: &Options,
        news: &Sender<(usize, News)>,
    ) -> Result<Vec<Remote>, RunError> {
        let own = scenario.generator.processes - 1;
        let (others, at) = options
            .joiners
            .unwrap_or((0, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        if own + others == 0 {
            return Ok(Vec::new());
        }
        let failed =
            |error: io::Error| RunError(format!("processes can not join at {at}: {error}"));
        let listener = TcpListener::bind(at).map_err(failed)?;
        let mut address = listener.local_addr().map_err(failed)?;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let program = std::env::current_exe().map_err(failed)?;
        for _ in 0..own {
            let child = Command::new(&program)
                .args(["join", &address.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn();
            self.0.push(child.map_err(failed)?);
        }
        if others > 0 {
            eprintln!("waiting for {others} more: ringcast-loadgen join {address}");
        }
        listener.set_nonblocking(true).map_err(failed)?;
        let until = Instant::now() + JOIN_MAX;
        let mut remotes = Vec::new();
        while (remotes.len() as u32) < own + others {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(failed)?;
                    let number = remotes.len() + 1;
                    remotes.push(Remote::accept(stream, number, news.clone()).map_err(failed)?);
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Err(failed(error));
                }
                Err(_) if Instant::now() > until => {
                    let says = format!(
                        "{} of {} processes did not join at {address} within a minute",
                        own + others - remotes.len() as u32,
                        own + others
                    );
                    return Err(RunError(says));
                }
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
        Ok(remotes)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Mostly it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
