//! A ring set up as the lanes' rings are, to hear what the kernel says to it.
//!
//! It is asked in the order in which one thing needs another: set-up, features and
//! operations, a table of direct descriptors, an enter. Nothing is submitted.

use super::{Call, Needs};
use crate::Files;
use io_uring::{Builder, IoUring, Parameters, Probe, opcode};
use nix::errno::Errno;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// A set-up flag by its name, and what sets it on a ring of so many completion entries.
type Flag = (&'static str, fn(&mut Builder, u32));

/// The flags of a lane's ring, each after those without which the kernel refuses it.
const FLAGS: [Flag; 5] = [
    ("IORING_SETUP_CQSIZE", |builder, completion_entries| {
        builder.setup_cqsize(completion_entries);
    }),
    ("IORING_SETUP_SUBMIT_ALL", |builder, _| {
        builder.setup_submit_all();
    }),
    ("IORING_SETUP_SINGLE_ISSUER", |builder, _| {
        builder.setup_single_issuer();
    }),
    ("IORING_SETUP_DEFER_TASKRUN", |builder, _| {
        builder.setup_defer_taskrun();
    }),
    ("IORING_SETUP_TASKRUN_FLAG", |builder, _| {
        builder.setup_taskrun_flag();
    }),
];

/// A feature by its name, and whether a ring has it.
type Feature = (&'static str, fn(&Parameters) -> bool);

/// The features that lanes rely on.
const FEATURES: [Feature; 4] = [
    // A full completion queue delays completions and loses none.
    ("IORING_FEAT_NODROP", Parameters::is_feature_nodrop),
    // What an entry points to may be used again once it is submitted.
    (
        "IORING_FEAT_SUBMIT_STABLE",
        Parameters::is_feature_submit_stable,
    ),
    // Waiting with a limit of time.
    ("IORING_FEAT_EXT_ARG", Parameters::is_feature_ext_arg),
    // A send that succeeds leaves no completion.
    (
        "IORING_FEAT_CQE_SKIP",
        Parameters::is_feature_skip_cqe_on_success,
    ),
];

/// The operations that lanes submit.
const OPERATIONS: [(&str, u8); 7] = [
    ("IORING_OP_POLL_ADD", opcode::PollAdd::CODE),
    ("IORING_OP_TIMEOUT", opcode::Timeout::CODE),
    ("IORING_OP_ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    ("IORING_OP_CLOSE", opcode::Close::CODE),
    ("IORING_OP_SEND", opcode::Send::CODE),
    ("IORING_OP_RECV", opcode::Recv::CODE),
    ("IORING_OP_SHUTDOWN", opcode::Shutdown::CODE),
];

/// How long the kernel may take to give back what a process had locked that has ended.
const CHARGE_RETURNED_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(20);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trial {
    /// The kernel refused a call.
    Refused {
        /// Which call.
        call: Call,
        /// With which error.
        errno: Errno,
    },
    /// The kernel can do all but these.
    Done {
        /// What it can not do.
        lacks: Vec<Lack>,
        /// What connections are best to it.
        files: Files,
    },
}

/// Something of io_uring that this kernel does not have, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// A set-up flag. Where one is refused, nothing else can be asked.
    Flag(&'static str),
    /// A feature.
    Feature(&'static str),
    /// An operation.
    Operation(&'static str),
}

/// Sets a ring up, with so many direct descriptors, and closes it. Patient is one that
/// waits for locked memory.
pub(super) fn run(needs: &Needs, slots: u32, patient: bool) -> Trial {
    attempt(needs, slots, patient).unwrap_or_else(|(call, error)| {
        // What the system says has a number; the crate makes no errors of its own.
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
        match refused_flag(&FLAGS, call, errno) {
            Some(flag) => Trial::Done {
                lacks: vec![Lack::Flag(flag)],
                files: Files::Direct,
            },
            None => Trial::Refused { call, errno },
        }
    })
}

fn attempt(needs: &Needs, slots: u32, patient: bool) -> Result<Trial, (Call, io::Error)> {
    let builder = ring_like_a_lanes(needs.completion_entries);
    let build = || builder.build(needs.submission_entries);
    let ring = if patient {
        while_charged(build)
    } else {
        build()
    };
    let ring: IoUring = ring.map_err(|error| (Call::Setup, error))?;
    let registered = |error| (Call::Register, error);

    let mut probe = Probe::new();
    let submitter = ring.submitter();
    submitter.register_probe(&mut probe).map_err(registered)?;
    let features = FEATURES
        .iter()
        .filter(|(_, is_there)| !is_there(ring.params()));
    let operations = OPERATIONS
        .iter()
        .filter(|(_, code)| !probe.is_supported(*code));
    let lacks: Vec<Lack> = features
        .map(|(name, _)| Lack::Feature(name))
        .chain(operations.map(|(name, _)| Lack::Operation(name)))
        .collect();
    submitter.register_files_sparse(slots).map_err(registered)?;
    // There is nothing to submit, but the call is made.
    ring.submit().map_err(|error| (Call::Enter, error))?;
    drop(ring);
    let files = match lacks[..] {
        [] => Files::of_this_kernel().map_err(|error| (Call::Setup, error))?,
        // There is nothing to try it with.
        _ => Files::Direct,
    };
    Ok(Trial::Done { lacks, files })
}

/// Sets up the ring of a lane.
pub(crate) fn ring_like_a_lanes(completion_entries: u32) -> Builder {
    builder(&FLAGS, completion_entries)
}

/// A ring with these flags.
fn builder(flags: &[Flag], completion_entries: u32) -> Builder {
    let mut builder = IoUring::builder();
    for (_, set) in flags {
        set(&mut builder, completion_entries);
    }
    builder
}

/// Which of the flags it is that the kernel does not know, if that was the reason: the
/// first with which a small ring is refused as well.
fn refused_flag(flags: &[Flag], call: Call, errno: Errno) -> Option<&'static str> {
    if (call, errno) != (Call::Setup, Errno::EINVAL) {
        return None;
    }
    let is_refused = |flags: &[Flag]| {
        let built: io::Result<IoUring> = builder(flags, 8).build(4);
        built.is_err_and(|error| error.raw_os_error() == Some(Errno::EINVAL as i32))
    };
    let known = (0..=flags.len()).take_while(|count| !is_refused(&flags[..*count]));
    // Where even a ring without flags is refused, it is not for a flag.
    let (name, _) = flags.get(known.last()?)?;
    Some(name)
}

/// Repeats what fails with ENOMEM, for up to five seconds: the memory that rings had
/// locked is given back some time after they were closed, or their process ended.
///
/// For whatever sets up a ring at start. Sleeps between attempts.
///
/// # Errors
/// That of the last attempt.
pub fn while_charged<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(error)
                if error.raw_os_error() == Some(Errno::ENOMEM as i32)
                    && began.elapsed() < CHARGE_RETURNED_WITHIN =>
            {
                thread::sleep(ATTEMPT_INTERVAL);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kernel refuses this flag without the one before it in `FLAGS`, as an older
    /// one refuses it at all.
    #[test]
    fn the_flag_that_is_refused_is_found() {
        let flags = [FLAGS[0], FLAGS[1], FLAGS[3]];
        let found = |flags, errno| refused_flag(flags, Call::Setup, errno);
        let name = "IORING_SETUP_DEFER_TASKRUN";
        assert_eq!(found(&flags, Errno::EINVAL), Some(name));
        assert_eq!(found(&flags, Errno::EPERM), None);
        assert_eq!(refused_flag(&flags, Call::Register, Errno::EINVAL), None);
        assert_eq!(found(&FLAGS, Errno::EINVAL), None);
    }

    #[test]
    fn sizes_that_are_refused_are_no_fault_of_a_flag() {
        let needs = Needs {
            shards: 1,
            shard_connections_max: 1,
            submission_entries: 256,
            completion_entries: 128,
            executors: 0,
            executor_ring_entries: 0,
            executor_memory_bytes: 0,
        };
        let (call, errno) = (Call::Setup, Errno::EINVAL);
        let trial = run(&needs, 1, true);
        assert_eq!(trial, Trial::Refused { call, errno });
    }

    #[test]
    fn memory_is_waited_for_and_nothing_else() {
        let mut attempts = 0;
        let mut fail_twice_with = |errno: Errno| {
            attempts = 0;
            let result = while_charged(|| {
                attempts += 1;
                match attempts {
                    1 | 2 => Err(io::Error::from(errno)),
                    attempt => Ok(attempt),
                }
            });
            result.map_err(|error| (error.raw_os_error(), attempts))
        };
        assert_eq!(fail_twice_with(Errno::ENOMEM), Ok(3));
        let denied = (Some(Errno::EPERM as i32), 1);
        assert_eq!(fail_twice_with(Errno::EPERM), Err(denied));
    }
}
