//! The judge, on hosts that can not be had: each lack alone, and their order.

use super::*;
use host::Kernel;

const NEEDS: Needs = Needs {
    shards: 2,
    shard_connections_max: 2000,
    submission_entries: 256,
    completion_entries: 1024,
    executors: 2,
    executor_ring_entries: 200,
    executor_memory_bytes: 1 << 20,
};

/// Rings of 36 KiB for two lanes of two shards and the probe; for each of two executors
/// three rings of 256 and 512 entries, and 1 MiB for each; a ring for glommio's probe.
const NEEDED_BYTES: u64 = (5 * 36 + 2 * 3 * (28 + 1024) + 8) * 1024;

const RUNNING: &str = "6.18.1";

/// A host on which nothing is missing, to an ordinary user.
fn host() -> Host {
    Host {
        kernel: Kernel::new(RUNNING),
        page_bytes: 4096,
        io_uring_disabled: 0,
        io_uring_group: None,
        groups: vec![7, 12],
        seccomp: false,
        capabilities: 0,
        memlock_max_bytes: NEEDED_BYTES,
        descriptors_max: 1024,
    }
}

const IPC_LOCK: u64 = 1 << 14;
const SYS_ADMIN: u64 = 1 << 21;

fn judged(host: &Host, trial: Option<&Trial>) -> Vec<Missing> {
    let files = match trial {
        Some(Trial::Done { files, .. }) => *files,
        _ => Files::Direct,
    };
    judge(&NEEDS, host, &plan(&NEEDS, host, files), trial)
}

/// What is missing on that host when the call fails so.
fn failing(host: &Host, call: Call, errno: Errno) -> Vec<Missing> {
    judged(host, Some(&Trial::Refused { call, errno }))
}

const DONE: Trial = Trial::Done {
    lacks: Vec::new(),
    files: Files::Direct,
};

#[test]
fn nothing_is_missing_where_all_is_just_enough() {
    assert_eq!(judged(&host(), Some(&DONE)), []);
}

#[test]
fn an_old_kernel_is_named_and_nothing_of_io_uring_beside_it() {
    let kernel = Kernel::new("5.15.0-91-generic");
    let descriptors_max = 1023;
    let found = judged(
        &Host {
            kernel,
            descriptors_max,
            ..host()
        },
        None,
    );
    let running = "5.15.0-91-generic".to_owned();
    let [old, few] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(*old, Missing::KernelTooOld { running });
    assert_eq!(
        old.to_string(),
        "Linux 5.15.0-91-generic is too old, for lanes need deferred task work of io_uring, which \
         came with 6.1: boot 6.1 or newer (Debian 12, Ubuntu 24.04, RHEL 10 or later have it)"
    );
    let (needed, limit) = (1024, 1023);
    assert_eq!(*few, Missing::DescriptorsTooFew { needed, limit });
}

#[test]
fn locked_memory_is_added_up_and_compared() {
    let too_small = |host: &Host, trial: &Trial| match &judged(host, Some(trial))[..] {
        [] => None,
        [Missing::MemlockTooSmall { needed_bytes, .. }] => Some(*needed_bytes),
        other => panic!("{other:?}"),
    };
    let short = Host {
        memlock_max_bytes: NEEDED_BYTES - 1,
        ..host()
    };
    assert_eq!(too_small(&short, &DONE), Some(NEEDED_BYTES));
    // The same lack, seen by the ring too, is said once.
    let (call, errno) = (Call::Setup, Errno::ENOMEM);
    let refused = Trial::Refused { call, errno };
    assert_eq!(too_small(&short, &refused), Some(NEEDED_BYTES));

    let locker = |memlock_max_bytes| Host {
        capabilities: IPC_LOCK,
        memlock_max_bytes,
        ..host()
    };
    assert_eq!(too_small(&locker(512 * 1024), &DONE), None);
    assert_eq!(too_small(&locker(512 * 1024 - 1), &DONE), Some(512 * 1024));

    let kernel = Kernel::new("6.13.0");
    let registered_only = Host { kernel, ..short };
    assert_eq!(too_small(&registered_only, &DONE), None);
    let memlock_max_bytes = 6 * 1024 * 1024 - 1;
    let short = Host {
        memlock_max_bytes,
        ..registered_only
    };
    assert_eq!(too_small(&short, &DONE), Some(6 * 1024 * 1024));
}

#[test]
fn where_each_connection_takes_a_descriptor_the_limit_is_judged_by_them() {
    let trial = Trial::Done {
        lacks: Vec::new(),
        files: Files::Plain,
    };
    let mut host = host();
    let needed = descriptors::needed(&NEEDS, Files::Plain);
    let each = u64::from(NEEDS.shards) * u64::from(NEEDS.shard_connections_max);
    assert!(needed > each && needed < 3 * each);
    host.descriptors_max = needed;
    assert_eq!(judged(&host, Some(&trial)), []);
    host.descriptors_max = needed - 1;
    let running = RUNNING.to_owned();
    let limit = needed - 1;
    let too_few = Missing::DescriptorsTooFewForConnections {
        needed,
        limit,
        running,
    };
    assert_eq!(judged(&host, Some(&trial)), [too_few]);
}

#[test]
fn executors_have_a_least_and_lanes_alone_have_none() {
    let charged = |needs: Needs| {
        let memlock = Memlock::of(&needs, lanes_for(1, Files::Direct, 1024), &host());
        (memlock.charged_bytes / 1024, memlock.limit_bytes_min / 1024)
    };
    let few = Needs {
        shards: 1,
        executors: 1,
        executor_memory_bytes: 1,
        ..NEEDS
    };
    let registered = 3 * 64;
    assert_eq!(charged(few), (2 * 36 + 3 * 28 + 8 + registered, 512));
    let executors = 0;
    assert_eq!(charged(Needs { executors, ..few }), (2 * 36, 0));
}

#[test]
fn a_ring_without_memory_says_whose_memory_it_is() {
    let memory = |host: &Host| failing(host, Call::Setup, Errno::ENOMEM);
    let taken = [Missing::MemlockTaken {
        needed_bytes: NEEDED_BYTES,
        limit_bytes: NEEDED_BYTES,
    }];
    assert_eq!(memory(&host()), taken);
    assert_eq!(
        taken[0].to_string(),
        "this process may lock 6500 KiB of memory and its lanes and executors need 6500 KiB, but \
         other processes of its user have taken so much that there is not enough for one lane: \
         end them, or `ulimit -l 13000` as root in the shell that starts it, LimitMEMLOCK=13000K in \
         its systemd unit, or `docker run --ulimit memlock=13312000`"
    );
    let none = [Missing::Memory { call: Call::Setup }];
    let capabilities = IPC_LOCK;
    assert_eq!(
        memory(&Host {
            capabilities,
            ..host()
        }),
        none
    );
    let memlock_max_bytes = u64::MAX;
    assert_eq!(
        memory(&Host {
            memlock_max_bytes,
            ..host()
        }),
        none
    );
    // A table of descriptors is not counted.
    let call = Call::Register;
    assert_eq!(
        failing(&host(), call, Errno::ENOMEM),
        [Missing::Memory { call }]
    );
    let kernel = Kernel::new("6.12.0");
    assert_eq!(memory(&Host { kernel, ..host() }), none);
    assert_eq!(
        none[0].to_string(),
        "the kernel has no memory left for io_uring_setup (ENOMEM, and no limit of locked memory \
         applies): free some, or raise the limit of the control group (systemd: MemoryMax=, \
         `docker run --memory`, Kubernetes: resources.limits.memory)"
    );
}

#[test]
fn a_denied_call_is_laid_at_the_right_door() {
    let setup = |host: &Host, errno| failing(host, Call::Setup, errno);
    let group = |id| {
        let name = Some("rings".to_owned());
        Some(Group { id, name })
    };
    let disabled = |io_uring_disabled, id| Host {
        io_uring_disabled,
        io_uring_group: group(id),
        seccomp: true,
        ..host()
    };
    let restricted = Missing::Restricted {
        group: group(3),
        own: 7,
    };
    let filtered = |call| Missing::Filtered { call };
    let denied = |errno| Missing::Denied {
        call: Call::Setup,
        errno,
    };
    assert_eq!(setup(&disabled(2, 12), Errno::EPERM), [Missing::Disabled]);
    assert_eq!(setup(&disabled(1, 3), Errno::EPERM), [restricted]);
    // Who is allowed by the sysctl is stopped by something else.
    assert_eq!(
        setup(&disabled(1, 12), Errno::EPERM),
        [filtered(Call::Setup)]
    );
    let capabilities = SYS_ADMIN;
    let administrator = Host {
        capabilities,
        ..disabled(1, 3)
    };
    assert_eq!(setup(&administrator, Errno::EPERM), [filtered(Call::Setup)]);
    // The sysctls say nothing to rings that exist.
    assert_eq!(
        failing(&disabled(2, 3), Call::Enter, Errno::EPERM),
        [filtered(Call::Enter)]
    );
    let seccomp = true;
    let filter = Host { seccomp, ..host() };
    assert_eq!(setup(&filter, Errno::EACCES), [filtered(Call::Setup)]);
    assert_eq!(setup(&filter, Errno::ENOSYS), [filtered(Call::Setup)]);
    assert_eq!(setup(&host(), Errno::EPERM), [denied(Errno::EPERM)]);
    assert_eq!(setup(&host(), Errno::EACCES), [denied(Errno::EACCES)]);
    assert_eq!(
        denied(Errno::EACCES).to_string(),
        "a security module such as SELinux denies io_uring_setup (EACCES), for neither a sysctl \
         nor a seccomp filter does, and lanes run on nothing else: `ausearch -m AVC -ts recent` \
         shows its message, and `ausearch -m AVC -ts recent | audit2allow -M ringcast && semodule \
         -i ringcast.pp` as root allows it"
    );
}

#[test]
fn a_kernel_without_io_uring() {
    let found = failing(&host(), Call::Setup, Errno::ENOSYS);
    assert_eq!(found, [Missing::NotBuilt]);
    assert_eq!(
        found[0].to_string(),
        "the kernel has no io_uring (io_uring_setup: ENOSYS, without a seccomp filter), and lanes \
         run on nothing else: boot a kernel built with CONFIG_IO_URING=y, which `grep IO_URING \
         /boot/config-$(uname -r)` shows, and leave sandboxes that imitate Linux, such as gVisor \
         (docker run --runtime=runc)"
    );
}

#[test]
fn each_thing_that_io_uring_lacks_is_named() {
    let lacks = vec![
        Lack::Flag("IORING_SETUP_DEFER_TASKRUN"),
        Lack::Feature("IORING_FEAT_CQE_SKIP"),
        Lack::Operation("IORING_OP_SHUTDOWN"),
    ];
    let found = judged(
        &host(),
        Some(&Trial::Done {
            lacks,
            files: Files::Direct,
        }),
    );
    let sentences: Vec<String> = found.iter().map(ToString::to_string).collect();
    let lacking = |what| {
        format!(
            "io_uring of Linux 6.18.1 lacks the {what}, without which lanes cannot work, though \
             Linux 6.1 has it: boot a kernel 6.1 or newer as its distribution built it, and leave \
             sandboxes that imitate Linux"
        )
    };
    assert_eq!(
        sentences,
        [
            lacking("set-up flag IORING_SETUP_DEFER_TASKRUN"),
            lacking("feature IORING_FEAT_CQE_SKIP"),
            lacking("operation IORING_OP_SHUTDOWN"),
        ]
    );
}

#[test]
fn any_other_refusal_names_call_and_error() {
    let (call, errno) = (Call::Setup, Errno::EINVAL);
    let found = failing(&host(), call, errno);
    assert_eq!(found, [Missing::Refused { call, errno }]);
    assert_eq!(
        found[0].to_string(),
        "the kernel refuses io_uring_setup (EINVAL: Invalid argument), without which nothing can \
         start: what it means there is under ERRORS in `man io_uring_setup`"
    );
}

/// One of each, as an operator could meet it.
fn examples() -> Vec<Missing> {
    let running = || RUNNING.to_owned();
    let name = Some("rings".to_owned());
    let named = Group { id: 992, name };
    vec![
        Missing::KernelTooOld {
            running: "5.15.0-91-generic".to_owned(),
        },
        Missing::NotBuilt,
        Missing::Disabled,
        Missing::Restricted {
            group: Some(named),
            own: 1000,
        },
        Missing::Restricted {
            group: None,
            own: 1000,
        },
        Missing::Filtered { call: Call::Setup },
        Missing::Denied {
            call: Call::Setup,
            errno: Errno::EACCES,
        },
        Missing::Flag {
            flag: "IORING_SETUP_DEFER_TASKRUN",
            running: running(),
        },
        Missing::Feature {
            feature: "IORING_FEAT_CQE_SKIP",
            running: running(),
        },
        Missing::Operation {
            operation: "IORING_OP_SHUTDOWN",
            running: running(),
        },
        Missing::MemlockTooSmall {
            needed_bytes: 644 * 1024,
            limit_bytes: 65536,
        },
        Missing::MemlockTaken {
            needed_bytes: 644 * 1024,
            limit_bytes: 1024 * 1024,
        },
        Missing::Memory { call: Call::Setup },
        Missing::DescriptorsTooFew {
            needed: 1024,
            limit: 256,
        },
        Missing::DescriptorsTooFewForConnections {
            needed: 131_072,
            limit: 1024,
            running: "6.12.1".to_owned(),
        },
        Missing::Refused {
            call: Call::Setup,
            errno: Errno::EINVAL,
        },
    ]
}

/// The page can be searched for what a log says.
#[test]
fn the_book_quotes_every_sentence() {
    let page = include_str!("../../../../docs/start-up.md");
    let quoted: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("> "))
        .collect();
    let quoted = quoted.join(" ");
    let absent: Vec<String> = examples()
        .iter()
        .map(ToString::to_string)
        .filter(|sentence| !quoted.contains(sentence))
        .collect();
    assert!(absent.is_empty(), "docs/start-up.md lacks: {absent:#?}");
}

#[test]
fn every_lack_is_one_sentence() {
    for missing in examples() {
        let sentence = missing.to_string();
        assert!(!sentence.contains(['\n', '!', '?']), "{sentence}");
        assert!(!sentence.contains(". "), "{sentence}");
        assert!(!sentence.ends_with('.'), "{sentence}");
    }
}
