//! The system calls of a program, held by seccomp.
//!
//! A list of what is refused, since the programs are anybody's. What leads around the other fences is on it: Landlock knows
//! paths and TCP ports, but neither datagrams nor sockets of UNIX, neither `chmod` nor descriptors that another process
//! passes on. Calls are refused with an error and never with death: libraries try what they may not and go on.

use std::collections::BTreeMap;

use nix::{errno::Errno, libc};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// What a program may do with sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sockets {
    /// TCP, to ports that Landlock knows.
    pub(super) tcp: bool,
    /// UNIX.
    pub(super) unix: bool,
}

/// A filter could not be built or put in force.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct FilterError(String);

impl From<BackendError> for FilterError {
    fn from(error: BackendError) -> Self {
        Self(error.to_string())
    }
}

/// The filters of a program, ready to be put in force.
pub(super) struct Syscalls(Vec<BpfProgram>);

impl Syscalls {
    /// `read_only`: whether what may not be written is read-only by its mount. Else attributes are not changed anywhere.
    pub(super) fn new(sockets: Sockets, read_only: bool) -> Result<Self, FilterError> {
        let mut refused = refused()?;
        refused.extend(sockets_refused(sockets)?);
        if !read_only {
            refused.extend(attributes());
        }
        // One filter has one answer.
        Ok(Self(vec![filter(refused, Errno::EPERM)?, filter(absent(), Errno::ENOSYS)?]))
    }

    /// Puts them in force for this thread and what it starts from now on, for good.
    pub(super) fn restrict(&self) -> Result<(), FilterError> {
        self.0
            .iter()
            .try_for_each(|program| seccompiler::apply_filter(program).map_err(|error| FilterError(error.to_string())))
    }
}

/// A filter that answers every call of `rules` with `errno`, and leaves the others alone.
fn filter(rules: Rules, errno: Errno) -> Result<BpfProgram, FilterError> {
    let refuse = SeccompAction::Errno((errno as i32).unsigned_abs());
    let here = TargetArch::try_from(std::env::consts::ARCH)?;
    let program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refuse, here)?.try_into()?;
    // The same calls have other numbers for programs with 32-bit pointers (x32): there is none of them at all.
    let statement = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let mut whole = vec![
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, FIRST_OF_X32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | (Errno::ENOSYS as i32).unsigned_abs()),
    ];
    whole.extend(program);
    Ok(whole)
}

/// Numbers from here on are those of x32.
const FIRST_OF_X32: u32 = 0x4000_0000;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Always refused, whatever the arguments.
const NEVER: [i64; 63] = [
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Files without a path.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    // Landlock is not asked who may watch a directory.
    libc::SYS_inotify_add_watch,
    // Keys.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_lookup_dcookie,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Memory and queues that processes of the same user share by a number.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // Nobody connects to a program.
    libc::SYS_listen,
];

/// Later than the C library knows them. Numbers from 424 on are those of every architecture.
const NEVER_BY_NUMBER: [i64; 1] = [
    467, // open_tree_attr
];

/// Of one architecture.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: [i64; 3] = [libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: [i64; 0] = [];

/// Flags of `clone` that make a namespace.
const CLONE_NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Requests to a terminal that put words into its input.
const TERMINAL_INPUT: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// The least bits of a socket's type. The others are flags.
const TYPE_BITS: u64 = 0xf;

/// What is said not to be there, so that libraries fall back to what a filter understands.
fn absent() -> Rules {
    // The flags of a clone lie in memory, where no filter sees them; and so does everything about io_uring.
    // And so do the flags and the mode of `openat2`. A file that lies nowhere is memory that nobody counts, and a program
    // that nobody granted.
    let calls = [
        libc::SYS_memfd_create,
        libc::SYS_memfd_secret,
        libc::SYS_clone3,
        libc::SYS_openat2,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
    ];
    calls.into_iter().map(|call| (call, Vec::new())).collect()
}

fn refused() -> Result<Rules, FilterError> {
    let whole = NEVER.into_iter().chain(NEVER_BY_NUMBER).chain(NEVER_HERE);
    let mut rules: Rules = whole.map(|call| (call, Vec::new())).collect();
    let namespaces = CLONE_NAMESPACES.into_iter().map(|flag| rule([bits(0, number(flag), number(flag))]));
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    let terminal = TERMINAL_INPUT.into_iter().map(|request| rule([equal(1, request)]));
    rules.insert(libc::SYS_ioctl, terminal.collect::<Result<_, _>>()?);
    // Its own limits, and nobody else's.
    rules.insert(libc::SYS_prlimit64, vec![rule([not(0, 0)])?]);
    // A connection that is made by sending: Landlock is not asked.
    let fast_open = number(libc::MSG_FASTOPEN);
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        rules.insert(call, vec![rule([bits(flags, fast_open, fast_open)])?]);
    }
    rules.extend(set_id()?);
    Ok(rules)
}

/// Making a file that runs with the rights of its owner: whoever starts it later has left the fence.
fn set_id() -> Result<Rules, FilterError> {
    const BITS: [u64; 2] = [0o4000, 0o2000];
    let mut rules = Rules::new();
    let mut modes =
        vec![(libc::SYS_fchmod, 1), (libc::SYS_fchmodat, 2), (libc::SYS_fchmodat2, 2), (libc::SYS_mknodat, 2)];
    #[cfg(target_arch = "x86_64")]
    modes.extend([(libc::SYS_chmod, 1), (libc::SYS_mknod, 1), (libc::SYS_creat, 1)]);
    for (call, mode) in modes {
        rules.insert(call, BITS.map(|bit| rule([bits(mode, bit, bit)])).into_iter().collect::<Result<_, _>>()?);
    }
    // Only where it makes a file does opening one have a mode.
    let mut opens = vec![(libc::SYS_openat, 2)];
    #[cfg(target_arch = "x86_64")]
    opens.push((libc::SYS_open, 1));
    let makes = [number(libc::O_CREAT), number(libc::O_TMPFILE & !libc::O_DIRECTORY)];
    for (call, flags) in opens {
        let of_bits = |bit: u64| makes.map(|make| rule([bits(flags, make, make), bits(flags + 1, bit, bit)]));
        rules.insert(call, BITS.into_iter().flat_map(of_bits).collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

/// `chmod`, `chown` and their kin. Landlock does not know them.
fn attributes() -> Rules {
    let mut calls = vec![
        // By descriptor too: what may only be read can be opened.
        libc::SYS_fchmod,
        libc::SYS_fchown,
        libc::SYS_fsetxattr,
        libc::SYS_fremovexattr,
        libc::SYS_utimensat,
        libc::SYS_fchmodat,
        libc::SYS_fchmodat2,
        libc::SYS_fchownat,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        463, // setxattrat
        466, // removexattrat
        469, // file_setattr
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
    ]);
    calls.into_iter().map(|call| (call, Vec::new())).collect()
}

/// Sockets of every kind but those that are granted. Pairs are for the program itself, and connected for good.
fn sockets_refused(allowed: Sockets) -> Result<Rules, FilterError> {
    let unix = number(libc::AF_UNIX);
    let mut domains = Vec::new();
    if allowed.tcp {
        domains.extend([number(libc::AF_INET), number(libc::AF_INET6)]);
    }
    if allowed.unix {
        domains.push(unix);
    }
    // No rule at all means the whole call.
    let mut sockets = Vec::new();
    if !domains.is_empty() {
        sockets.push(rule(domains.into_iter().map(|domain| not(0, domain)))?);
        // Of the Internet, streams alone, and TCP alone among them: Landlock knows no other protocol.
        for kind in (0..=TYPE_BITS).filter(|&kind| kind != number(libc::SOCK_STREAM)) {
            sockets.push(rule([not(0, unix), bits(1, TYPE_BITS, kind)])?);
        }
        sockets.push(rule([not(0, unix), not(2, 0), not(2, number(libc::IPPROTO_TCP))])?);
    }
    // A pair of datagram sockets can be connected to somebody else.
    let mut pairs = vec![rule([not(0, unix)])?];
    let connected = [libc::SOCK_STREAM, libc::SOCK_SEQPACKET].map(number);
    for kind in (0..=TYPE_BITS).filter(|kind| !connected.contains(kind)) {
        pairs.push(rule([bits(1, TYPE_BITS, kind)])?);
    }
    Ok(BTreeMap::from([(libc::SYS_socket, sockets), (libc::SYS_socketpair, pairs)]))
}

type Condition = Result<SeccompCondition, BackendError>;

/// All of the conditions together.
fn rule(conditions: impl IntoIterator<Item = Condition>) -> Result<SeccompRule, FilterError> {
    Ok(SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)?)
}

fn bits(argument: u8, mask: u64, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

fn equal(argument: u8, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn not(argument: u8, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn number(value: libc::c_int) -> u64 {
    u64::from(value.cast_unsigned())
}
