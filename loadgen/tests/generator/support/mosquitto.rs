//! mosquitto, as Debian has it.

use super::{Process, folder, free_port, signal, wait_until};
use nix::sys::signal::Signal;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A broker on loopback.
pub(crate) struct Mosquitto {
    process: Process,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
}

/// Debian keeps it where only root's PATH looks.
pub(crate) fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is missing: ./test tools"))
}

impl Mosquitto {
    /// For anybody.
    pub(crate) fn start() -> Self {
        Self::with("allow_anonymous true\n")
    }

    /// With these lines behind its listener's.
    pub(crate) fn with(lines: &str) -> Self {
        let port = free_port();
        let folder = folder();
        let settings = folder.join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\n{lines}log_type none\n");
        std::fs::write(&settings, text).expect("settings");
        let process = Command::new(find("mosquitto"))
            .arg("-c")
            .arg(&settings)
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait_until("mosquitto listens", || TcpStream::connect(address).is_ok());
        Self {
            process: Process(process),
            address,
            folder,
        }
    }

    /// Stops it for a while: to its clients it is there, and says nothing.
    pub(crate) fn stall(&self, duration: Duration) {
        signal(self.process.0.id(), Signal::SIGSTOP);
        std::thread::sleep(duration);
        signal(self.process.0.id(), Signal::SIGCONT);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
