//! The log, on standard error: as text or JSON, from a level on that can be changed while
//! the engine runs. Nothing is logged per message or per connection.
//!
//! Where the engine listens and that it is ready are for programs that start it as much as
//! for people: these lines are plain, the same in both forms.

use crate::settings::{Log, LogFormat, LogLevel};
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

/// Changes the level of the log.
#[derive(Debug, Clone)]
pub(crate) struct LogControl(reload::Handle<LevelFilter, Registry>);

impl LogControl {
    /// Says what is of this level or weightier, from now on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        // It fails only once the log is gone, which stays as long as the process.
        let _ = self.0.reload(filter(level));
    }
}

/// Begins to log. Once in a process: a second time has no effect.
pub(crate) fn start(log: &Log) -> LogControl {
    let (subscriber, control) = subscriber(log, io::stderr);
    let _ = tracing::subscriber::set_global_default(subscriber);
    control
}

/// `listening mqtt 127.0.0.1:1883`, with the port that was picked.
pub(crate) fn tell_listening(what: &str, address: SocketAddr) {
    tell(&format_args!("listening {what} {address}"));
}

/// `ready`: it serves from now on.
pub(crate) fn tell_ready() {
    tell(&"ready");
}

/// A line that is not of the log. Nobody may be there to read it.
fn tell(line: &dyn Display) {
    let line = format!("{line}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn subscriber<W>(log: &Log, writer: W) -> (impl Subscriber + Send + Sync, LogControl)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (level, handle) = reload::Layer::new(filter(log.level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_target(false)
        // It would say so on standard error, which may be what can't be written to.
        .log_internal_errors(false);
    let lines: Box<dyn Layer<_> + Send + Sync> = match log.format {
        LogFormat::Text => Box::new(lines),
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
    };
    let subscriber = tracing_subscriber::registry().with(level).with(lines);
    (subscriber, LogControl(handle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn the_level_changes_while_it_runs() {
        let lines = Lines::default();
        let (format, level) = (LogFormat::Text, LogLevel::Info);
        let (subscriber, control) = subscriber(&Log { format, level }, lines.clone());
        tracing::subscriber::with_default(subscriber, || {
            let say = || tracing::debug!(shard = 3, "a detail");
            say();
            assert_eq!(lines.take(), "");
            control.set_level(LogLevel::Debug);
            say();
            let line = lines.take();
            assert!(line.ends_with("DEBUG a detail shard=3\n"), "{line}");
            control.set_level(LogLevel::Error);
            tracing::warn!("not that bad");
            assert_eq!(lines.take(), "");
        });
    }

    #[test]
    fn json_is_an_object_to_a_line() {
        let lines = Lines::default();
        let (format, level) = (LogFormat::Json, LogLevel::Info);
        let (subscriber, _control) = subscriber(&Log { format, level }, lines.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(shard = 3, "two\nlines");
        });
        let line = lines.take();
        assert_eq!(line.matches('\n').count(), 1);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["message"], "two\nlines");
        assert_eq!(
            (&object["shard"], &object["level"]),
            (&3.into(), &"INFO".into())
        );
    }
}
