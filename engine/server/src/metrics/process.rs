//! What the kernel says of this process, under the names that all exporters use. What
//! can't be read is left out.

use super::Source;
use super::exposition::{Descriptor, Exposition, Kind, Unit};
use nix::unistd::{SysconfVar, sysconf};
use std::fs;

/// Field numbers of `/proc/self/stat` (proc(5)) behind the name of the program, which
/// ends with the last parenthesis: the state, which is its third, is number 0 here.
const USER_TICKS: usize = 14 - 3;
const SYSTEM_TICKS: usize = 15 - 3;
const THREADS: usize = 20 - 3;
const START_TICKS: usize = 22 - 3;
const VIRTUAL_BYTES: usize = 23 - 3;
const RESIDENT_PAGES: usize = 24 - 3;

/// A process that looks at itself.
pub(crate) struct ProcessMetrics {
    ticks_per_second: f64,
    page_bytes: f64,
    /// When the host was booted, in seconds since 1970.
    booted: Option<f64>,
}

impl ProcessMetrics {
    /// Of this process.
    pub(crate) fn new() -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a hundred, and some thousand")]
        let number = |variable| sysconf(variable).ok().flatten().unwrap_or(0) as f64;
        Self {
            ticks_per_second: number(SysconfVar::CLK_TCK),
            page_bytes: number(SysconfVar::PAGE_SIZE),
            booted: fs::read_to_string("/proc/stat").ok().and_then(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("btime "));
                line?.trim().parse().ok()
            }),
        }
    }

    fn write_stat(&self, text: &mut Exposition, stat: &str) {
        let fields: Vec<_> = match stat.rsplit_once(')') {
            Some((_, rest)) => rest.split_whitespace().collect(),
            None => return,
        };
        let field = |number: usize| -> f64 {
            let field = fields.get(number).and_then(|field| field.parse().ok());
            field.unwrap_or(0.0)
        };
        let cpu = (field(USER_TICKS) + field(SYSTEM_TICKS)) / self.ticks_per_second;
        let help = "User and system time that the process has used.";
        put(text, "process_cpu", help, Kind::Counter, Unit::Nanos, cpu);
        let help = "Memory of the process that is in RAM.";
        let resident = field(RESIDENT_PAGES) * self.page_bytes;
        put(
            text,
            "process_resident_memory",
            help,
            Kind::Gauge,
            Unit::Bytes,
            resident,
        );
        let help = "Address space of the process.";
        let address_space = field(VIRTUAL_BYTES);
        put(
            text,
            "process_virtual_memory",
            help,
            Kind::Gauge,
            Unit::Bytes,
            address_space,
        );
        let help = "Threads of the process.";
        put(
            text,
            "process_threads",
            help,
            Kind::Gauge,
            Unit::None,
            field(THREADS),
        );
        if let Some(booted) = self.booted {
            let started = booted + field(START_TICKS) / self.ticks_per_second;
            let help = "When the process started, since 1970.";
            put(
                text,
                "process_start_time",
                help,
                Kind::Gauge,
                Unit::Nanos,
                started,
            );
        }
    }
}

impl Source for ProcessMetrics {
    fn write(&self, text: &mut Exposition) {
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            self.write_stat(text, &stat);
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            #[allow(clippy::cast_precision_loss, reason = "a process has few descriptors")]
            let open = descriptors.count() as f64;
            // The one that reads the list is in it.
            let help = "Descriptors that the process has open.";
            put(
                text,
                "process_open_fds",
                help,
                Kind::Gauge,
                Unit::None,
                open - 1.0,
            );
        }
    }
}

/// A family of one sample, in the unit that is told.
fn put(
    text: &mut Exposition,
    name: &'static str,
    help: &'static str,
    kind: Kind,
    unit: Unit,
    value: f64,
) {
    text.family(&Descriptor {
        name,
        help,
        kind,
        unit,
    });
    text.sample(&[], value);
}
