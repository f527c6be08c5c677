//! The probe in processes that really lack something: limits, capabilities, sysctls,
//! seccomp filters. Each time the exact sentences.
//!
//! A program without the test harness, because it runs itself as those processes. A
//! third role changes the sysctls and takes that back when the first ends, however it
//! ends.

use io_uring::IoUring;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::utsname::uname;
use nix::unistd::{Gid, Group, Uid, geteuid, setgroups, setresgid, setresuid};
use ringcast_lane::probe::{self, Needs};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// With 1,024 descriptors two lanes for each shard. Seven rings of 36 KiB with the probe's
/// own, three times 64 KiB and a ring of 16 KiB for the executor, and 8 KiB for its
/// probe: less than the executor's least, 512 KiB.
const NEEDS: Needs = Needs {
    shards: 3,
    shard_connections_max: 2000,
    submission_entries: 256,
    completion_entries: 1024,
    executors: 1,
    executor_ring_entries: 128,
    executor_memory_bytes: 64 * 1024,
};

/// Users, and groups of the same number, that own nothing here and have no capabilities.
/// They are of this run alone, for locked memory is counted by user and given back late.
fn users() -> Users {
    let run = std::process::id() % 10_000;
    Users {
        probing: 20_000 + run,
        crowded: 30_000 + run,
        counting: 40_000 + run,
    }
}

/// See [`users`].
struct Users {
    /// That of the process that probes.
    probing: u32,
    /// One who has used up what may be locked.
    crowded: u32,
    /// One who finds out what is counted.
    counting: u32,
}

/// Just enough of what is limited.
const ENOUGH: [&str; 2] = ["memlock=524288", "nofile=256:1024"];

/// What the processes are deprived of, and what they say then.
const CASES: [(&str, fn()); 6] = [
    ("memlock", memlock),
    ("memlock_taken_by_others", memlock_taken_by_others),
    ("descriptors", descriptors),
    ("seccomp", seccomp),
    ("everything_at_once", everything_at_once),
    ("io_uring_disabled", io_uring_disabled),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("deprived") => deprived(&arguments[1..]),
        Some("count") => count(arguments[1].parse().expect("a number")),
        Some("sysctls") => hold_sysctls(&arguments[1], &arguments[2]),
        // What a test runner asks of every test program.
        Some("--list") => CASES.iter().for_each(|(name, _)| println!("{name}: test")),
        _ => {
            for (name, case) in CASES {
                println!("{name}");
                case();
            }
        }
    }
}

/// The process that lacks something: takes it from itself, probes, and prints what that
/// says.
fn deprived(restrictions: &[String]) {
    let mut others = Vec::new();
    for restriction in restrictions {
        let (what, value) = restriction.split_once('=').expect("what=value");
        let number = || value.parse::<u32>().expect("a number");
        match what {
            "memlock" => {
                let bytes = value.parse().expect("a number");
                setrlimit(Resource::RLIMIT_MEMLOCK, bytes, bytes).expect("lowered");
            }
            "nofile" => {
                let (soft, hard) = value.split_once(':').expect("soft:hard");
                let [soft, hard] = [soft, hard].map(|limit| limit.parse().expect("a number"));
                setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("lowered");
            }
            "user" => become_user(Uid::from_raw(number()), Gid::from_raw(number())),
            "group" => setgroups(&[Gid::from_raw(number())]).expect("root may"),
            "refuse" => {
                let (call, errno) = value.split_once(':').expect("call:errno");
                refuse(call, errno.parse().expect("a number"));
            }
            "rings" => others = take_rings(number(), true),
            _ => panic!("{restriction}"),
        }
    }
    match probe::check(&NEEDS) {
        Ok(report) => println!("{report}"),
        Err(missing) => missing.iter().for_each(|missing| println!("{missing}")),
    }
    drop(others);
}

/// Drops root, and its capabilities with it. Who is not root has none.
fn become_user(user: Uid, group: Gid) {
    if geteuid().is_root() {
        setresgid(group, group, group).expect("root may");
        setresuid(user, user, user).expect("root may");
    }
}

/// Has a call answered with an error, as the seccomp profiles of containers do.
fn refuse(call: &str, errno: u32) {
    let number = match call {
        "setup" => libc::SYS_io_uring_setup,
        "register" => libc::SYS_io_uring_register,
        "enter" => libc::SYS_io_uring_enter,
        "other" => libc::SYS_acct,
        _ => panic!("{call}"),
    };
    let filter = SeccompFilter::new(
        BTreeMap::from([(number, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        std::env::consts::ARCH.try_into().expect("known to seccomp"),
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
    seccompiler::apply_filter(&program).expect("applied");
}

/// Opens so many rings of 8 KiB, or as many as there is memory for that may be locked.
/// A patient one waits for what was locked before.
fn take_rings(rings_max: u32, is_patient: bool) -> Vec<IoUring> {
    let open = || IoUring::new(8);
    let rings = (0..rings_max).map_while(|_| {
        let ring = if is_patient {
            probe::while_charged(open)
        } else {
            open()
        };
        let errno = ring.as_ref().err().and_then(io::Error::raw_os_error);
        assert!(errno.is_none() || errno == Some(Errno::ENOMEM as i32));
        ring.ok()
    });
    rings.collect()
}

/// The process that finds out whether rings are counted: whether the kernel stops it
/// when they are too many.
fn count(user: u32) {
    setrlimit(Resource::RLIMIT_MEMLOCK, 65536, 65536).expect("lowered");
    become_user(user.into(), user.into());
    let is_stopped = take_rings(20, false).len() < 20;
    println!("{}", if is_stopped { "stopped" } else { "not stopped" });
}

/// This program in another role.
fn role(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("of this program"));
    command.args(arguments);
    command
}

/// What a process says that is deprived of all this.
fn said(restrictions: &[&str]) -> String {
    let output = role(&["deprived"]).args(restrictions).output();
    let output = output.expect("this program runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{restrictions:?}: {complaints}");
    String::from_utf8(output.stdout).expect("sentences")
}

/// What a user without privileges says, who has just enough and then lacks this.
fn said_lacking(restrictions: &[&str]) -> String {
    let user = format!("user={}", users().probing);
    said(&[&ENOUGH[..], &[&user[..]], restrictions].concat())
}

/// What is said where nothing is missing.
fn nothing_missing() -> String {
    let name = uname().expect("the kernel has a name");
    let running = name.release().to_string_lossy();
    // 7 × 36 + 3 × 16 + 8, where rings are counted, and 3 × 64 in any case.
    let kib = if rings_are_counted() { 500 } else { 192 };
    format!(
        "Linux {running}: io_uring has all that lanes need\n6 lanes of up to 1024 connections \
         each; {kib} KiB of locked memory, 512 KiB allowed\n"
    )
}

/// Whether the kernel counts rings as locked memory (since Linux 6.14), found out by
/// opening more than may then be.
fn rings_are_counted() -> bool {
    let output = role(&["count", &users().counting.to_string()]).output();
    let output = output.expect("this program runs");
    assert!(output.status.success(), "{output:?}");
    match &output.stdout[..] {
        b"stopped\n" => true,
        b"not stopped\n" => false,
        other => panic!("{other:?}"),
    }
}

fn memlock() {
    let user = format!("user={}", users().probing);
    assert_eq!(
        said(&["memlock=65536", &user]),
        "this process may lock 64 KiB of memory and its lanes and executors need 512 KiB: \
         `ulimit -l 512` as root in the shell that starts it, LimitMEMLOCK=512K in its systemd \
         unit, or `docker run --ulimit memlock=524288`\n"
    );
    assert_eq!(said_lacking(&[]), nothing_missing());
}

/// By rings of the same process: the kernel makes no difference. Ends with a process
/// that has to wait until theirs is given back.
fn memlock_taken_by_others() {
    let user = format!("user={}", users().crowded);
    let crowded = [ENOUGH[0], ENOUGH[1], &user];
    let said_crowded = said(&[&crowded[..], &["rings=64"]].concat());
    if rings_are_counted() {
        assert_eq!(
            said_crowded,
            "this process may lock 512 KiB of memory and its lanes and executors need 512 KiB, \
             but other processes of its user have taken so much that there is not enough for one \
             lane: end them, or `ulimit -l 1024` as root in the shell that starts it, \
             LimitMEMLOCK=1024K in its systemd unit, or `docker run --ulimit memlock=1048576`\n"
        );
    } else {
        assert_eq!(said_crowded, nothing_missing());
    }
    assert_eq!(said(&crowded), nothing_missing());
}

/// That the soft limit is raised shows wherever nothing is missing.
fn descriptors() {
    assert_eq!(
        said_lacking(&["nofile=256:512"]),
        "this process may have 512 descriptors and needs 1024, for a lane's table of connections \
         is no larger than that: `ulimit -n 1024` as root in the shell that starts it, \
         LimitNOFILE=1024 in its systemd unit, or `docker run --ulimit nofile=1024`\n"
    );
}

fn filtered(call: &str) -> String {
    format!(
        "a seccomp filter forbids {call}, as the default profiles of containers do, and lanes run \
         on nothing else: give `docker run` or `podman run` a profile that allows io_uring_setup, \
         io_uring_enter and io_uring_register (--security-opt seccomp=FILE, or \
         seccomp=unconfined), a Kubernetes container the same by \
         securityContext.seccompProfile (type: Localhost, or Unconfined), a systemd unit the line \
         SystemCallFilter=@aio\n"
    )
}

/// With the errors that docker and podman answer with.
fn seccomp() {
    for errno in [Errno::EPERM, Errno::ENOSYS] {
        for call in ["setup", "register", "enter"] {
            assert_eq!(
                said_lacking(&[&format!("refuse={call}:{}", errno as i32)]),
                filtered(&format!("io_uring_{call}"))
            );
        }
    }
    // A filter that forbids something else does not matter.
    let other = format!("refuse=other:{}", Errno::EPERM as i32);
    assert_eq!(said_lacking(&[&other]), nothing_missing());
}

fn everything_at_once() {
    let refuse = format!("refuse=setup:{}", Errno::EPERM as i32);
    let said = said_lacking(&["memlock=65536", "nofile=512:512", &refuse]);
    let begins: Vec<&str> = said.lines().map(|line| &line[..24]).collect();
    assert_eq!(
        begins,
        [
            "a seccomp filter forbids",
            "this process may lock 64",
            "this process may have 51"
        ]
    );
}

fn io_uring_disabled() {
    let skipped = || println!("  skipped: {DISABLED} can not be written");
    let Some(sysctls) = Sysctls::set(2, -1) else {
        return skipped();
    };
    // To root as well as to others.
    let disabled = "the sysctl kernel.io_uring_disabled = 2 forbids io_uring to every process, \
         and lanes run on nothing else: `sysctl -w kernel.io_uring_disabled=0` as root on the \
         host, and the line `kernel.io_uring_disabled = 0` in /etc/sysctl.d/60-ringcast.conf to \
         keep it so\n";
    assert_eq!(said_lacking(&[]), disabled);
    assert_eq!(said(&ENOUGH), disabled);
    drop(sysctls);

    let own = users().probing;
    let sysctls = Sysctls::set(1, -1).expect("it could be set before");
    let restricted = "the sysctl kernel.io_uring_disabled = 1 leaves io_uring to processes with \
         CAP_SYS_ADMIN ";
    assert_eq!(
        said_lacking(&[]),
        format!(
            "{restricted}and, for kernel.io_uring_group is -1, to no group, and this one has not \
             got it: `sysctl -w kernel.io_uring_group={own}` as root on the host for the group \
             that runs it, or `sysctl -w kernel.io_uring_disabled=0` for all, and the same in \
             /etc/sysctl.d/60-ringcast.conf to keep it so\n"
        )
    );
    drop(sysctls);

    // A group that has a name nearly everywhere, and one that has none.
    for group in [1, 60125] {
        let sysctls = Sysctls::set(1, group).expect("it could be set before");
        let entry = Group::from_gid(Gid::from_raw(group as u32)).expect("groups can be read");
        let name = entry.map_or(group.to_string(), |entry| entry.name);
        assert_eq!(
            said_lacking(&[]),
            format!(
                "{restricted}or of the group {name} (kernel.io_uring_group = {group}), and this \
                 one is neither: `usermod -aG {name} USER` for the user that runs it, \
                 SupplementaryGroups={name} in its systemd unit, or `docker run --group-add \
                 {group}`\n"
            )
        );
        let member = [format!("group={group}"), format!("user={own}")];
        let said = said(&[ENOUGH[0], ENOUGH[1], &member[0], &member[1]]);
        drop(sysctls);
        assert_eq!(said, nothing_missing());
    }
}

const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";
const GROUP: &str = "/proc/sys/kernel/io_uring_group";

/// The sysctls changed, until dropped.
///
/// Another process holds them, in a process group of its own: it takes the change back
/// when its input ends, which it does with this process, even if that is killed.
struct Sysctls(Child);

impl Sysctls {
    /// None where they can not be written.
    fn set(disabled: u8, group: i64) -> Option<Self> {
        File::options().write(true).open(DISABLED).ok()?;
        let holder = role(&["sysctls", &disabled.to_string(), &group.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn();
        let mut held = Self(holder.expect("this program runs"));
        let mut line = String::new();
        let output = held.0.stdout.as_mut().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("a pipe");
        assert_eq!(line, "set\n");
        Some(held)
    }
}

impl Drop for Sysctls {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let ended = self.0.wait();
        if !std::thread::panicking() {
            assert!(ended.expect("it is a child").success());
        }
    }
}

/// The process that changes the sysctls and takes it back. One at a time on this machine.
fn hold_sysctls(disabled: &str, group: &str) {
    let path = std::env::temp_dir().join("ringcast-sysctls.lock");
    let file = File::create(path).expect("the folder for temporary files is writable");
    let _lock = Flock::lock(file, FlockArg::LockExclusive).expect("locked");
    let _group = Changed::to(GROUP, group);
    let _disabled = Changed::to(DISABLED, disabled);
    println!("set");
    io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
}

/// A file with other content, until dropped.
struct Changed {
    path: &'static str,
    before: String,
}

impl Changed {
    fn to(path: &'static str, content: &str) -> Self {
        let before = fs::read_to_string(path).expect("a sysctl");
        let changed = Self { path, before };
        fs::write(path, content).expect("a sysctl of root");
        changed
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        fs::write(self.path, &self.before).expect("it was written before");
    }
}
