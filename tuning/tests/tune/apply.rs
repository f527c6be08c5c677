//! Changing and undoing, on machines made of files.

use crate::machine::{Machine, amd_bond, amd_vm, container, intel_64, intel_64_tuned};
use ringcast_tune::apply::{Applying, Outcome, Undone, apply, changes, revert};
use ringcast_tune::check::{Report, State};
use ringcast_tune::item::{self, Fix};
use ringcast_tune::journal::{Journal, JournalError};
use ringcast_tune::script::script;

fn journal(machine: &Machine) -> Journal {
    Journal::open(&machine.state()).expect("nobody else has it")
}

fn apply_all(machine: &Machine) -> Vec<(&'static str, Outcome)> {
    let mut journal = journal(machine);
    let items = item::all().filter(|item| item.fix == Fix::Apply);
    machine.judge(|situation| {
        items
            .map(|item| (item.name, apply(item, situation, &mut journal).unwrap()))
            .collect()
    })
}

fn revert_all(machine: &Machine) -> Vec<Undone> {
    let undone = revert(&machine.host(), &mut journal(machine), |_| true, false).unwrap();
    undone.into_iter().map(|(_, undone)| undone).collect()
}

fn apply_one(machine: &Machine, item: &str) -> Outcome {
    let item = item::named(item).unwrap();
    machine.judge(|situation| apply(item, situation, &mut journal(machine)).unwrap())
}

#[test]
fn what_is_applied_is_well_and_reverts_byte_for_byte() {
    for machine in [intel_64(), amd_vm(), amd_bond(), container()] {
        let before = machine.snapshot();
        let failures: Vec<_> = apply_all(&machine)
            .into_iter()
            .filter(|(_, outcome)| outcome.is_failure())
            .collect();
        assert_eq!(failures, []);
        assert_ne!(machine.snapshot(), before, "there was something to change");
        let report = machine.judge(Report::of);
        let off = report
            .findings
            .iter()
            .filter(|finding| finding.state == State::Off);
        let left: Vec<_> = off
            .filter(|finding| item::named(finding.item).unwrap().fix == Fix::Apply)
            .collect();
        assert!(left.is_empty(), "{left:?}");

        let undone = revert_all(&machine);
        assert!(
            undone
                .iter()
                .all(|undone| matches!(undone, Undone::Back | Undone::Unchanged))
        );
        machine.settle();
        assert!(machine.snapshot() == before, "every byte of every file");
        assert!(!machine.state().exists(), "no journal is left behind");
    }
}

/// The kernel takes no brackets.
#[test]
fn what_is_written_to_a_choice_is_its_word() {
    let machine = intel_64();
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    apply_one(&machine, "memory.thp");
    assert_eq!(machine.read(path), "madvise\n");
    revert_all(&machine);
    assert_eq!(machine.read(path), "always\n");
}

#[test]
fn applying_twice_changes_nothing_more() {
    let machine = intel_64();
    let before = machine.snapshot();
    apply_all(&machine);
    let (after, journal_after) = (machine.snapshot(), std::fs::read(machine.state()).unwrap());
    let again = apply_all(&machine);
    assert!(
        again
            .iter()
            .all(|(_, outcome)| matches!(outcome, Outcome::Well | Outcome::NotHere(_))),
        "{again:?}"
    );
    assert!(machine.snapshot() == after);
    assert!(std::fs::read(machine.state()).unwrap() == journal_after);
    revert_all(&machine);
    machine.settle();
    assert!(machine.snapshot() == before);
}

#[test]
fn looking_changes_nothing() {
    let machine = intel_64();
    let before = machine.snapshot();
    machine.judge(|situation| {
        for item in item::all() {
            let _ = changes(item, situation);
        }
        script(item::all(), situation)
    });
    assert!(machine.snapshot() == before);
}

/// A kill between any two steps, simulated by not taking the next one: the machine
/// comes back from each of them.
#[test]
fn stopped_after_any_step_everything_comes_back() {
    let machine = amd_vm();
    let before = machine.snapshot();
    let mut stop_after = 0;
    loop {
        let mut steps = 0;
        let finished = machine.judge(|situation| {
            let mut journal = journal(&machine);
            for item in item::all().filter(|item| item.fix == Fix::Apply) {
                let Ok(mut applying) = Applying::begin(item, situation) else {
                    continue;
                };
                loop {
                    if steps == stop_after {
                        return false;
                    }
                    steps += 1;
                    if applying.advance(&mut journal).unwrap().is_some() {
                        break;
                    }
                }
            }
            true
        });
        assert!(
            revert_all(&machine)
                .iter()
                .all(|undone| !undone.is_failure())
        );
        machine.settle();
        assert!(
            machine.snapshot() == before,
            "stopped after {stop_after} steps"
        );
        if finished {
            break;
        }
        stop_after += 1;
    }
    assert!(
        stop_after > 20,
        "a step for each file, and some for each item"
    );
}

/// A journal that is half written never takes the place of the last whole one.
#[test]
fn a_kill_while_the_journal_is_written_leaves_the_last_one() {
    let machine = amd_vm();
    apply_one(&machine, "vm.stat_interval");
    assert!(
        !machine.state().with_extension("new").exists(),
        "it was renamed"
    );
    std::fs::write(
        machine.state().with_extension("new"),
        "{\"version\": 1, \"entr",
    )
    .unwrap();
    assert_eq!(revert_all(&machine), [Undone::Back]);
    assert_eq!(machine.read("/proc/sys/vm/stat_interval"), "1\n");
}

#[test]
fn what_does_not_stick_is_put_back_with_the_rest_of_its_item() {
    let machine = intel_64();
    // The kernel takes the word and forgets it.
    let shards = machine.judge(|situation| situation.plan.cores.shards.clone());
    let (first, last) = (shards[0], shards[shards.len() - 1]);
    let governor =
        |cpu: usize| format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
    machine.link(&governor(last), "/dev/null");
    let before = machine.snapshot();
    let outcome = apply_one(&machine, "cpu.governor");
    assert!(
        matches!(&outcome, Outcome::PutBack(why) if why.contains("the kernel made")),
        "{outcome:?}"
    );
    assert_eq!(machine.read(&governor(first)), "powersave\n");
    assert!(machine.snapshot() == before);
    assert!(!machine.state().exists());
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_touched() {
    let machine = intel_64();
    // A file of the kernel that nobody may write, not even root.
    let unwritable = "/proc/sys/kernel/cap_last_cap";
    let last = machine.judge(|situation| situation.plan.busy().iter().last().unwrap());
    machine.link("/proc/sys/net/core/somaxconn", unwritable);
    machine.link(
        &format!("/sys/devices/system/cpu/cpu{last}/cpuidle/state3/disable"),
        unwritable,
    );
    let before = machine.snapshot();
    for item in ["net.core.somaxconn", "cpu.idle_states"] {
        let outcome = apply_one(&machine, item);
        assert!(
            matches!(&outcome, Outcome::Refused(why) if why.contains("only for root")),
            "{item}: {outcome:?}"
        );
    }
    assert!(
        machine.snapshot() == before,
        "not even the files of the item that could be"
    );
}

#[test]
fn what_cannot_be_read_back_is_not_touched() {
    let machine = intel_64();
    machine.raw("/proc/sys/net/core/somaxconn", b"\xff\xfe\n");
    let outcome = apply_one(&machine, "net.core.somaxconn");
    assert!(
        matches!(&outcome, Outcome::Refused(why) if why.contains("no text")),
        "{outcome:?}"
    );
    assert_eq!(
        std::fs::read(machine.place("/proc/sys/net/core/somaxconn")).unwrap(),
        b"\xff\xfe\n"
    );
}

#[test]
fn others_items_are_refused_with_what_to_do() {
    let machine = intel_64();
    for (item, words) in [
        ("nic.interrupts", "--output-script"),
        ("cpu.isolated", "command line"),
        ("limit.memlock", "unit"),
        ("irqbalance", "systemctl"),
    ] {
        let outcome = apply_one(&machine, item);
        assert!(
            matches!(&outcome, Outcome::Refused(why) if why.contains(words)),
            "{item}: {outcome:?}"
        );
    }
}

#[test]
fn what_somebody_else_changed_since_is_left_alone_unless_forced() {
    let machine = amd_vm();
    let path = "/proc/sys/vm/stat_interval";
    apply_one(&machine, "vm.stat_interval");
    machine.file(path, 30);
    assert_eq!(
        revert_all(&machine),
        [Undone::Foreign { now: "30\n".into() }]
    );
    assert_eq!(machine.read(path), "30\n");
    let forced = revert(&machine.host(), &mut journal(&machine), |_| true, true).unwrap();
    assert_eq!(forced[0].1, Undone::Back);
    assert_eq!(machine.read(path), "1\n");
}

#[test]
fn what_somebody_else_set_between_two_applies_is_the_original_then() {
    let machine = amd_vm();
    let path = "/proc/sys/vm/stat_interval";
    apply_one(&machine, "vm.stat_interval");
    // A reboot, say, and another administrator's wish.
    machine.file(path, 2);
    apply_one(&machine, "vm.stat_interval");
    assert_eq!(machine.read(path), "10\n");
    revert_all(&machine);
    assert_eq!(machine.read(path), "2\n");
}

#[test]
fn a_second_change_of_ours_keeps_the_first_original() {
    let mut machine = intel_64();
    let path = "/proc/sys/net/core/somaxconn";
    machine.target.connections = 100_000;
    apply_one(&machine, "net.core.somaxconn");
    assert_eq!(machine.read(path), "6250\n");
    machine.target.connections = 1_000_000;
    apply_one(&machine, "net.core.somaxconn");
    assert_eq!(machine.read(path), "62500\n");
    revert_all(&machine);
    assert_eq!(machine.read(path), "4096\n");
}

#[test]
fn what_the_kernel_changes_along_comes_back_too() {
    let machine = amd_vm();
    let allowed = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";
    machine.file(allowed, "reno bbr");
    apply_one(&machine, "net.ipv4.tcp_congestion_control");
    assert_eq!(machine.read(allowed), "reno bbr\n", "not written");
    // The kernel does this when cubic becomes the default.
    machine.file(allowed, "reno bbr cubic");
    let mut journal = journal(&machine);
    let undone = revert(&machine.host(), &mut journal, |_| true, true).unwrap();
    let order: Vec<_> = undone
        .iter()
        .map(|(entry, _)| entry.path.as_str())
        .collect();
    assert_eq!(
        order,
        ["/proc/sys/net/ipv4/tcp_congestion_control", allowed]
    );
    assert_eq!(machine.read(allowed), "reno bbr\n");
}

#[test]
fn a_preference_that_follows_the_governor_comes_back_too() {
    let machine = intel_64();
    let before = machine.snapshot();
    let core = machine.judge(|situation| situation.plan.cores.ingest);
    let preference =
        format!("/sys/devices/system/cpu/cpu{core}/cpufreq/energy_performance_preference");
    apply_one(&machine, "cpu.governor");
    // Intel's driver does this under the governor for performance.
    machine.file(&preference, "performance");
    revert(&machine.host(), &mut journal(&machine), |_| true, true).unwrap();
    assert!(machine.snapshot() == before);
}

#[test]
fn a_file_that_is_gone_is_not_missed() {
    let machine = amd_vm();
    apply_one(&machine, "vm.stat_interval");
    machine.remove("/proc/sys/vm/stat_interval");
    assert_eq!(revert_all(&machine), [Undone::Gone]);
    assert!(!machine.state().exists());
}

#[test]
fn two_at_once_are_kept_apart() {
    let machine = amd_vm();
    let _first = journal(&machine);
    let error = Journal::open(&machine.state()).unwrap_err();
    assert!(matches!(error, JournalError::Busy(_)), "{error}");
}

#[test]
fn a_journal_that_is_none_stops_everything() {
    let machine = amd_vm();
    drop(journal(&machine));
    for text in ["", "{}", "{\"version\": 2, \"entries\": []}"] {
        std::fs::write(machine.state(), text).unwrap();
        let error = Journal::open(&machine.state()).unwrap_err();
        assert!(matches!(error, JournalError::Unreadable(..)), "{error}");
    }
}

#[test]
fn the_script_of_a_tuned_machine_does_nothing() {
    let text = intel_64_tuned().judge(|situation| script(item::all(), situation));
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(lines, ["set -eu"]);
}

#[test]
fn the_script_has_what_apply_does_and_what_it_leaves_alone() {
    let machine = intel_64();
    let text = machine.judge(|situation| script(item::all(), situation));
    for line in [
        "# was: 4096\nprintf '%s\\n' '62500' > /proc/sys/net/core/somaxconn",
        "echo 3 > /proc/irq/100/smp_affinity_list   # ens1f0np0-async",
        "echo 18 > /proc/irq/115/smp_affinity_list   # ens1f0np0-14",
        "ethtool -C ens1f0np0 adaptive-rx off rx-usecs 8",
        "ethtool -G ens1f0np0 rx 1024",
        "ethtool -K ens1f0np0 gro on",
        "/sys/class/net/ens1f0np0/queues/tx-0/xps_cpus   # CPUs 2,36,52\n",
        "/sys/class/net/ens1f0np0/queues/tx-15/xps_cpus",
    ] {
        assert!(text.contains(line), "no '{line}' in:\n{text}");
    }
    assert!(!text.contains("isolcpus"), "a script can't boot");
    let shell = std::process::Command::new("sh")
        .args(["-n", "-c", &text])
        .status()
        .unwrap();
    assert!(shell.success(), "a shell reads it");
}
