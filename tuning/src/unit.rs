//! What makes a host stay as it should be: the engine's unit file, settings that are
//! applied at boot, and what goes on the kernel's command line.
//!
//! Values that are well already are written down too: a file that says only what was
//! wrong once would be empty on a host where `apply` ran.

use crate::item::{self, Fix, Look, Situation, Step, descriptors, locked_bytes};
use crate::topology::bytes;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One file, where it goes, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: &'static str,
    /// Where an operator puts it.
    pub place: &'static str,
    /// All of it.
    pub text: String,
}

/// All files for this host.
#[must_use]
pub fn units(situation: &Situation<'_>) -> Vec<Unit> {
    let (sysctls, others) = settings(situation);
    vec![
        Unit {
            name: "ringcast.service",
            place: "/etc/systemd/system/ringcast.service",
            text: service(situation),
        },
        Unit {
            name: "90-ringcast.conf",
            place: "/etc/sysctl.d/90-ringcast.conf",
            text: sysctls,
        },
        Unit {
            name: "ringcast-tmpfiles.conf",
            place: "/etc/tmpfiles.d/ringcast.conf",
            text: others,
        },
        Unit {
            name: "ringcast-cmdline",
            place: "the kernel's command line: GRUB_CMDLINE_LINUX of /etc/default/grub, or your boot loader's",
            text: command_line(situation),
        },
    ]
}

fn service(situation: &Situation<'_>) -> String {
    let plan = &situation.plan;
    let cpus = plan.busy().union(&plan.housekeeping);
    let locked = locked_bytes(situation) * 2;
    // A quarter more than the sum: it is an estimate, and the limit kills.
    let most = plan.memory.bytes + plan.memory.bytes / 4;
    format!(
        "[Unit]
Description=ringcast, market data to many clients
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/bin/ringcast serve --config /etc/ringcast.toml
Restart=on-failure
User=ringcast
# The cores of the plan and those of housekeeping; the engine pins its threads itself.
CPUAffinity={cpus}
# What the rings of io_uring are charged, twice: the last process's is given back late.
LimitMEMLOCK={locked}
LimitNOFILE={}
TasksMax=4096
# {} by the plan, sockets included, and a quarter more.
MemoryMax={most}
MemorySwapMax=0
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target
",
        descriptors(situation),
        bytes(plan.memory.bytes),
    )
}

/// What `apply` writes, as lines of sysctl.d and of tmpfiles.d, each below its reason.
fn settings(situation: &Situation<'_>) -> (String, String) {
    let mut sysctls = String::from("# Written by ringcast-tune for one host and one target.\n");
    let mut others = sysctls.clone();
    for item in item::all().filter(|item| item.fix == Fix::Apply) {
        let Look::Seen(seen) = item.look(situation) else {
            continue;
        };
        let (mut is_first, mut is_first_other) = (true, true);
        for step in &seen.steps {
            let Step::Write { path, value } = step else {
                continue;
            };
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let (text, is_first, line) = match path.strip_prefix("/proc/sys/") {
                Some(name) => (
                    &mut sysctls,
                    &mut is_first,
                    format!("{} = {}", name.replace('/', "."), value.replace('\t', " ")),
                ),
                None => (
                    &mut others,
                    &mut is_first_other,
                    format!("w {path} - - - - {value}"),
                ),
            };
            if std::mem::take(is_first) {
                // A string takes whatever is written.
                let _ = writeln!(text, "\n# {}", item.why);
            }
            let _ = writeln!(text, "{line}");
        }
    }
    (sysctls, others)
}

/// The words to add, and whether the running kernel has them.
fn command_line(situation: &Situation<'_>) -> String {
    let mut words = BTreeMap::new();
    for item in item::all().filter(|item| item.fix == Fix::Boot) {
        if let Look::Seen(seen) = item.look(situation) {
            for step in seen.steps {
                if let Step::Boot(word) = step {
                    words.insert(word, seen.is_well);
                }
            }
        }
    }
    let mut text =
        String::from("# Add to the kernel's command line; it holds from the next boot on.\n");
    for (word, is_well) in &words {
        if !is_well {
            let _ = writeln!(text, "# {word}: not so now: a reboot is needed");
        }
    }
    if words.values().all(|is_well| *is_well) {
        text.push_str("# All of it holds already: no reboot is needed.\n");
    }
    let words: Vec<_> = words.into_keys().collect();
    let _ = writeln!(text, "{}", words.join(" "));
    text
}
