//! The program: its output, its exit codes, and a kill in the middle.

use crate::machine::{Machine, amd_vm, intel_64, intel_64_tuned};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Only against hanging for ever.
const DEADLINE: Duration = Duration::from_secs(20);

fn program(machine: &Machine) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringcast-tune"));
    command.arg("--root").arg(&machine.root);
    command.args(["--connections", &machine.target.connections.to_string()]);
    command
}

fn run(machine: &Machine, arguments: &[&str]) -> Output {
    program(machine)
        .args(arguments)
        .output()
        .expect("the program runs")
}

#[track_caller]
fn assert_run(machine: &Machine, arguments: &[&str], code: i32) -> String {
    let output = run(machine, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {text}{errors}"
    );
    if code == 2 { errors } else { text }
}

#[test]
fn topology_plan_and_check_print_text_and_json() {
    let machine = intel_64();
    for (command, code, key) in [
        ("topology", 0, "cpus"),
        ("plan", 0, "cores"),
        ("check", 1, "findings"),
    ] {
        assert!(!assert_run(&machine, &[command], code).is_empty());
        let json: serde_json::Value =
            serde_json::from_str(&assert_run(&machine, &[command, "--json"], code)).unwrap();
        assert!(json.get(key).is_some(), "{command}: {key}");
    }
}

#[test]
fn check_ends_with_0_where_all_is_well() {
    assert_run(&intel_64_tuned(), &["check"], 0);
}

#[test]
fn the_plan_ends_with_settings_that_the_engine_takes() {
    let text = assert_run(&amd_vm(), &["plan"], 0);
    let settings: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        settings,
        ["[cores]", "ingest = 1", "shards = [2]", "idle = \"spin\""]
    );
}

#[test]
fn cores_set_by_hand_are_judged_instead_of_the_plan() {
    let machine = amd_vm();
    machine.file("/sys/devices/system/cpu/isolated", "2-3");
    let isolated = |arguments: &[&str]| {
        let json: serde_json::Value =
            serde_json::from_str(&assert_run(&machine, arguments, 1)).unwrap();
        let findings = json["findings"].as_array().unwrap();
        let finding = findings
            .iter()
            .find(|finding| finding["item"] == "cpu.isolated")
            .unwrap();
        finding["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(isolated(&["check", "--json"]), "off");
    assert_eq!(
        isolated(&["check", "--json", "--ingest-cpu", "2", "--shard-cpus", "3"]),
        "well"
    );
    let errors = assert_run(
        &machine,
        &["check", "--ingest-cpu", "2", "--shard-cpus", "7"],
        2,
    );
    assert!(
        errors.contains("there is no CPU 7 on this host, which has 0-3"),
        "{errors}"
    );
}

#[test]
fn no_such_item_card_or_processor_is_a_sentence() {
    let machine = amd_vm();
    let errors = assert_run(&machine, &["apply", "vm.swapiness"], 2);
    assert_eq!(
        errors,
        "ringcast-tune: there is no item vm.swapiness; `ringcast-tune check` lists them\n"
    );
    let errors = assert_run(&machine, &["--nic", "eth7", "plan"], 2);
    assert_eq!(
        errors,
        "ringcast-tune: there is no network card eth7; there are: eth0\n"
    );
    machine.remove("/sys/devices/system/cpu/online");
    let errors = assert_run(&machine, &["topology"], 2);
    assert!(
        errors.contains("there is no /sys/devices/system/cpu/online here"),
        "{errors}"
    );
}

#[test]
fn apply_dry_run_and_revert() {
    let machine = amd_vm();
    let before = machine.snapshot();
    let text = assert_run(&machine, &["apply", "--dry-run"], 0);
    assert!(
        text.contains("vm.stat_interval: would change /proc/sys/vm/stat_interval 1 → 10\n"),
        "{text}"
    );
    assert!(machine.snapshot() == before, "not even a state file");

    let text = assert_run(&machine, &["apply", "vm.stat_interval", "vm.swappiness"], 0);
    assert!(
        text.contains("vm.stat_interval: changed: /proc/sys/vm/stat_interval 1 → 10\n"),
        "{text}"
    );
    assert_eq!(machine.read("/proc/sys/vm/swappiness"), "10\n");
    assert_run(&machine, &["revert", "vm.swappiness"], 0);
    assert_eq!(
        (
            machine.read("/proc/sys/vm/swappiness").as_str(),
            machine.read("/proc/sys/vm/stat_interval").as_str()
        ),
        ("60\n", "10\n")
    );
    assert_run(&machine, &["revert"], 0);
    assert_eq!(machine.read("/proc/sys/vm/stat_interval"), "1\n");
    assert!(assert_run(&machine, &["revert"], 0).starts_with("nothing to revert"));
}

#[test]
fn what_is_not_changed_ends_with_1() {
    let machine = amd_vm();
    let text = assert_run(&machine, &["apply", "cpu.isolated"], 1);
    assert!(
        text.starts_with("cpu.isolated: not changed: on the kernel's command line"),
        "{text}"
    );
    assert_run(&machine, &["apply", "vm.stat_interval"], 0);
    machine.file("/proc/sys/vm/stat_interval", 99);
    let text = assert_run(&machine, &["revert"], 1);
    assert!(text.contains("somebody else made it '99' since"), "{text}");
    assert_run(&machine, &["revert", "--force"], 0);
    assert_eq!(machine.read("/proc/sys/vm/stat_interval"), "1\n");
}

#[test]
fn unit_files_go_to_a_folder() {
    let machine = amd_vm();
    let text = assert_run(
        &machine,
        &["unit", "--write", machine.root.to_str().unwrap()],
        0,
    );
    assert!(
        text.contains("ringcast.service for /etc/systemd/system/ringcast.service\n"),
        "{text}"
    );
    assert!(
        machine
            .read("/90-ringcast.conf")
            .contains("vm.stat_interval = 10\n")
    );
}

#[test]
fn the_script_goes_to_a_file() {
    let machine = intel_64();
    let file = machine.root.join("tune.sh");
    assert_run(
        &machine,
        &["apply", "--output-script", file.to_str().unwrap()],
        0,
    );
    assert!(fs::read_to_string(file).unwrap().starts_with("#!/bin/sh\n"));
}

/// A pipe that has room for nothing: whoever writes to it waits.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    (reader, writer)
}

#[test]
fn killed_in_the_middle_of_apply_everything_comes_back() {
    let machine = amd_vm();
    let before = machine.snapshot();
    let state = machine.state();
    let (_reader, writer) = full_pipe();
    // It waits where it says that it changed the first item.
    let mut apply = program(&machine)
        .args(["apply", "vm.stat_interval", "vm.swappiness", "--state"])
        .arg(&state)
        .stdout(Stdio::from(writer))
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !fs::read_to_string(&state).is_ok_and(|text| text.contains("\"became\": \"10\\n\"")) {
        assert!(began.elapsed() < DEADLINE, "nothing was changed");
        thread::yield_now();
    }
    apply.kill().unwrap();
    apply.wait().unwrap();
    assert_eq!(
        machine.read("/proc/sys/vm/stat_interval"),
        "10\n",
        "it was in the middle"
    );
    assert_eq!(
        machine.read("/proc/sys/vm/swappiness"),
        "60\n",
        "it was in the middle"
    );

    let text = assert_run(&machine, &["revert", "--state", state.to_str().unwrap()], 0);
    assert_eq!(
        text,
        "vm.stat_interval: /proc/sys/vm/stat_interval back as it was\n"
    );
    assert!(machine.snapshot() == before);
}

#[test]
fn jitter_measures_this_machine_and_refuses_others() {
    let here = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ringcast-tune"))
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, json, _) = here(&["jitter", "--seconds", "1", "--json"]);
    assert_eq!(code, Some(0));
    let rounds: ringcast_tune::prove::Rounds = serde_json::from_str(&json).unwrap();
    let [round] = rounds.rounds.as_slice() else {
        panic!("one round: {json}")
    };
    for times in round
        .cores
        .iter()
        .map(|core| core.gaps)
        .chain([round.wake, round.loopback])
    {
        assert!(times.count > 0 && times.worst > 0, "{json}");
        assert!(
            times.p50 <= times.p99 && times.p99 <= times.p9999 && times.p9999 <= times.worst,
            "{json}"
        );
    }
    let (code, _, errors) = here(&["jitter", "--cpus", "8191"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("there is no CPU 8191 here"), "{errors}");
    let errors = assert_run(&amd_vm(), &["jitter"], 2);
    assert!(errors.contains("leave --root out"), "{errors}");
}
