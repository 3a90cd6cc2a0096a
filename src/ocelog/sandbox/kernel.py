"""How the Linux kernel is asked to lock this process in: privileges, Landlock and seccomp, by their system calls."""

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The numbers are those of linux/prctl.h, linux/landlock.h, linux/seccomp.h, linux/capability.h and asm/unistd.h.

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_GET_NAME, _PR_SET_NO_NEW_PRIVS, _PR_SET_VMA = 1, 15, 16, 38, 0x53564D41
_SIGKILL = 9

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_READ = _READ_FILE | _READ_DIR
_SCRATCH = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _TRUNCATE
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
"""Rights that a rule on a file may name."""
_ABI = 7
"""The newest version of Landlock's interface that is understood here."""
_FILE_RIGHTS = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 5: 1 << 16}
"""By version: the first right that it does not know."""

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""By machine: the column of its numbers below, and what seccomp calls it."""
_LAST = 451
"""System calls after this one are newer than this list, and are answered as by a kernel that lacks them."""
_CAP_DAC_READ_SEARCH = 2

_Numbers = dict[str, tuple[int | None, int | None]]

_DENIED: _Numbers = {
    # the network
    "socketpair": (53, 199),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # other processes: their memory, their signals, their limits, their order
    "ptrace": (101, 117),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "setrlimit": (160, 164),
    "setpriority": (141, 140),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "ioprio_set": (251, 30),
    "setpgid": (109, 154),
    # memory and queues that processes share by name
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # other programs
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    # ways around a filter of system calls
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    "userfaultfd": (323, 282),
    "memfd_secret": (447, 447),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    # modes, owners, times and attributes, which Landlock does not guard; lengths, which its first versions do not
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "utimensat": (280, 88),
    "futimesat": (261, None),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "truncate": (76, 45),
    # the machine
    "mount": (165, 40),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "setns": (308, 268),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "iopl": (172, None),
    "ioperm": (173, None),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "fanotify_init": (300, 262),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "capset": (126, 91),
}
_NETWORK: _Numbers = {
    "connect": (42, 203),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "recvmmsg": (299, 243),
}
"""Denied in addition where it may not talk to other machines."""
_WRITING: _Numbers = {
    "creat": (85, None),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
}
"""Denied in addition where there is no scratch folder."""
_LOOKING: _Numbers = {
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "statfs": (137, 43),
    "getxattr": (191, 8),
    "lgetxattr": (192, 9),
    "listxattr": (194, 11),
    "llistxattr": (195, 12),
    "inotify_add_watch": (254, 27),
    "fanotify_mark": (301, 263),
    "uselib": (134, None),
}
"""Denied in addition where it must not learn which files there are: these look at a path, and no library needs them."""
_BY_PATH: dict[str, tuple[tuple[int | None, int | None], int | None, int]] = {
    "open": ((2, None), None, 0),
    "openat": ((257, 56), 0, 1),
    "stat": ((4, None), None, 0),
    "lstat": ((6, None), None, 0),
    "newfstatat": ((262, 79), 0, 1),
    "statx": ((332, 291), 0, 1),
    "access": ((21, None), None, 0),
    "faccessat": ((269, 48), 0, 1),
    "faccessat2": ((439, 439), 0, 1),
    "readlink": ((89, None), None, 0),
    "readlinkat": ((267, 78), 0, 1),
}
"""Left to the parent there: the numbers, which argument is the folder that a path begins in, and which is the path."""
_BY_ARGUMENT: _Numbers = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "tgkill": (234, 131),
    "fcntl": (72, 25),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "ioctl": (16, 29),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "socket": (41, 198),
    "mmap": (9, 222),
}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
"""The same on every machine."""
_SECCOMP = (317, 277)
_PIDFD_GETFD = 438
"""The same on every machine."""
_CAPGET, _CAPSET = (125, 90), (126, 91)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What keeps a child in: the version of Landlock (0: it is missing), and whether seccomp does."""

    landlock: int
    seccomp: bool
    paths: bool = False
    """Whether the parent is asked about each path, so that not even the names of other files are known."""

    def __str__(self) -> str:
        """Name the layers, such as `landlock (ABI 7), seccomp`."""
        found = [f"landlock (ABI {self.landlock})"] * bool(self.landlock) + ["seccomp"] * self.seccomp
        found += ["paths"] * self.paths
        return ", ".join(found) or "none"


EVERY = Layers(landlock=_ABI, seccomp=True, paths=True)
"""Whatever the kernel offers."""


def die_with_parent() -> None:
    """End this process when the thread that started it ends."""
    _libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def refuse_privileges() -> None:
    """Take from this process every privilege but that of root to read, for good. Raises OSError."""
    if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _failed("no_new_privs")
    column = _column()
    if column is None:
        return
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    held = ctypes.create_string_buffer(24)
    if _libc().syscall(_CAPGET[column], header, held) == 0:
        kept = struct.unpack("=6I", held.raw)[1] & (1 << _CAP_DAC_READ_SEARCH)
        _libc().syscall(_CAPSET[column], header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def landlock_version() -> int:
    """Return the version of Landlock's interface that this kernel and these rules have in common; 0: none."""
    if not sys.platform.startswith("linux"):
        return 0
    found = _libc().syscall(_LANDLOCK_CREATE, None, 0, 1)
    return max(0, min(int(found), _ABI))


def restrict_files(version: int, *, read: Iterable[str], scratch: str | None, network: bool = False) -> None:
    """Keep this process to reading what is at or below `read`, and to writing below `scratch`.

    Called again it takes more away, and never gives back. It binds only the calling thread and those that it starts
    later, so there must be no other. With the `version` also: no TCP unless there is a `network` (4), no device control
    (5), no signals to others and no abstract sockets (6). Raises OSError, FileNotFoundError for a path that is gone.
    """
    first_unknown = next(_FILE_RIGHTS[known] for known in sorted(_FILE_RIGHTS, reverse=True) if known <= version)
    handled = first_unknown - 1
    attributes = struct.pack("=QQQ", handled, 0b11 if version >= 4 and not network else 0, 0b11 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _libc().syscall(_LANDLOCK_CREATE, attributes, size, 0)
    if ruleset < 0:
        raise _failed("landlock")
    try:
        for path in read:
            _allow(ruleset, path, _READ & handled)
        if scratch is not None:
            _allow(ruleset, scratch, _SCRATCH & handled)
        if _libc().syscall(_LANDLOCK_RESTRICT, ruleset, 0) != 0:
            raise _failed("landlock")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        if _libc().syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0) != 0:
            raise _failed("landlock", path)
    finally:
        os.close(descriptor)


def seccomp_supported() -> bool:
    """Whether the system calls of this machine are known here."""
    return sys.platform.startswith("linux") and _column() is not None


def offered() -> Layers:
    """Return what this kernel says it would keep a process in with; `child.layers` finds out by trying, and slower."""
    column = _column() if seccomp_supported() else None
    action = ctypes.create_string_buffer(struct.pack("=I", _ERRNO))
    filters = column is not None and _libc().syscall(_SECCOMP[column], 2, 0, action) == 0
    return Layers(landlock=landlock_version(), seccomp=filters)


def paths_supported() -> bool:
    """Whether this kernel would leave it to a parent which paths its child may name, and lets it see them."""
    column = _column() if seccomp_supported() else None
    if column is None:
        return False
    sizes = ctypes.create_string_buffer(6)
    if _libc().syscall(_SECCOMP[column], 3, 0, sizes) != 0 or struct.unpack("=3H", sizes.raw) != (80, 24, 64):
        return False
    try:
        # With more than 1, nobody but root looks into the memory of a child.
        return int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text()) < 2
    except (OSError, ValueError):
        return True


def watch_paths() -> int:
    """Have each system call that names a path wait for the parent; return the descriptor by which it hears of them.

    There must be no other thread, now or later: it could change a path between the parent's look and the kernel's.
    Raises OSError.
    """
    column = _column()
    if column is None:
        raise OSError(errno.ENOSYS, "seccomp")
    wait, program = [_step(_RETURN, _USER_NOTIFY)], _checked(column)
    for numbers, _, _ in _BY_PATH.values():
        if (number := numbers[column]) is not None:
            program += [_step(_EQUAL, number, 0, 1), *wait]
    return _install(column, b"".join([*program, _step(_RETURN, _ALLOW)]), _NEW_LISTENER)


def path_arguments() -> dict[int, tuple[int | None, int]]:
    """Return by number, for the calls that `watch_paths` is about, which arguments are folder and path."""
    column = _column()
    if column is None:
        return {}
    return {number: (folder, path) for numbers, folder, path in _BY_PATH.values() if (number := numbers[column])}


def take_descriptor(process: int, number: int) -> int:
    """Return a copy of a descriptor of a child. Raises OSError."""
    handle = os.pidfd_open(process)
    try:
        found = int(_libc().syscall(_PIDFD_GETFD, handle, number, 0))
        if found < 0:
            raise _failed("pidfd_getfd")
        return found
    finally:
        os.close(handle)


def restrict_calls(*, writing: bool, network: bool = False, threads: bool = True, looking: bool = True) -> None:
    """Keep this process and all its threads to system calls that reach nothing outside it. Raises OSError.

    Without `writing` no file can be opened for writing, made, moved or removed. With a `network` it may connect to
    other machines, over IP alone, and wait for nobody. Without `threads` it begins no other. Without `looking`, calls
    fail that tell of a path and that `watch_paths` does not leave to the parent. What is denied fails with EPERM.
    """
    column = _column()
    if column is None:
        raise OSError(errno.ENOSYS, f"seccomp: the system calls of {platform.machine()} are not known")
    _install(column, _filter(column, writing=writing, network=network, threads=threads, looking=looking), _ALL_THREADS)


def _install(column: int, filter_: bytes, flags: int) -> int:
    program = struct.pack("HP", len(filter_) // 8, ctypes.addressof(held := ctypes.create_string_buffer(filter_)))
    if (found := int(_libc().syscall(_SECCOMP[column], 1, flags, program))) < 0:
        raise _failed("seccomp")
    del held
    return found


def threads() -> int:
    """Return how many threads this process has."""
    return len(list(Path("/proc/self/task").iterdir()))


_LOAD, _EQUAL, _GREATER, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERRNO, _USER_NOTIFY = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
_ALL_THREADS, _NEW_LISTENER = 1, 1 << 3
_O_WRITE, _O_CREATE, _O_TRUNCATE, _O_TEMPORARY = 0o3, 0o100, 0o1000, 0o20000000
_CLONE_THREAD = 0x00010000
_FIONBIO = 0x5421
_IP = (2, 10)
"""AF_INET, AF_INET6."""
_FCNTL = (8, 10, 15, 1024, 1026)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to another process when a pipe moves; F_SETLEASE, F_NOTIFY."""
_MAP_SHARED, _MAP_ANONYMOUS = 0x01, 0x20
_PRCTL = (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)


def _checked(column: int) -> list[bytes]:
    """Begin a program: it looks at calls by the numbers that are known here, and loads the number."""
    return [
        *(_argument(4), _step(_EQUAL, list(_ARCHITECTURES.values())[column][1], 1, 0), _step(_RETURN, _KILL)),
        # Greater, too, are those of the other numbering that x86 offers.
        *(_argument(0), _step(_GREATER, _LAST, 0, 1), _step(_RETURN, _ERRNO | errno.ENOSYS)),
    ]


def _filter(column: int, *, writing: bool, network: bool = False, threads: bool = True, looking: bool = True) -> bytes:
    """Write the program that the kernel runs before each system call; the order of its checks does not matter."""
    deny, allow = [_step(_RETURN, _ERRNO | errno.EPERM)], [_step(_RETURN, _ALLOW)]
    program = _checked(column)
    denied = _DENIED | ({} if writing else _WRITING) | ({} if network else _NETWORK) | ({} if looking else _LOOKING)
    blocks = {numbers[column]: deny for numbers in denied.values()}
    if writing:
        # A file that is opened for reading, or for neither, is cut all the same: Landlock's first versions let that be.
        flags = [_step(_ANY_BIT, _O_TRUNCATE, 1, 0), *allow, _step(_AND, _O_WRITE)]
        flags += [_step(_EQUAL, 1, 1, 0), _step(_EQUAL, 2, 0, 1), *allow, *deny]
    else:
        flags = [_step(_ANY_BIT, _O_WRITE | _O_CREATE | _O_TRUNCATE | _O_TEMPORARY, 0, 1), *deny, *allow]
    checks = {
        "clone": [_first(0), _step(_ANY_BIT, _CLONE_THREAD, 0, 1), *allow, *deny] if threads else deny,
        # Its flags lie in memory, out of a filter's sight. The C library then uses `clone`.
        "clone3": [_step(_RETURN, _ERRNO | errno.ENOSYS)],
        "openat2": [_step(_RETURN, _ERRNO | errno.ENOSYS)],
        "tgkill": [_first(0), _step(_EQUAL, os.getpid(), 0, 1), *allow, *deny],
        "fcntl": [_first(1), *_unless(_FCNTL, deny), *allow],
        "prctl": [_first(0), *_unless(_PRCTL, allow), *deny],
        "prlimit64": [
            *(_first(0), _step(_EQUAL, 0, 1, 0), *deny),
            *(_first(2), _step(_EQUAL, 0, 1, 0), *deny),
            *(_argument(16 + 2 * 8 + 4), _step(_EQUAL, 0, 1, 0), *deny, *allow),
        ],
        # With a network: what gives a socket a time limit.
        "ioctl": [_first(1), *_unless((_FIONBIO,) * network, allow), _step(_RETURN, _ERRNO | errno.ENOTTY)],
        "socket": [_first(0), *_unless(_IP * network, allow), *deny],
        "open": [_first(1), *flags],
        "openat": [_first(2), *flags],
        # Memory that is shared counts as no data of a process: its limit would not bound it.
        "mmap": [
            *(_first(3), _step(_ANY_BIT, _MAP_SHARED, 1, 0), *allow),
            *(_step(_ANY_BIT, _MAP_ANONYMOUS, 0, 1), *deny, *allow),
        ],
    }
    blocks |= {_BY_ARGUMENT[name][column]: steps for name, steps in checks.items()}
    for number, steps in blocks.items():
        if number is not None:
            program += [_step(_EQUAL, number, 0, len(steps)), *steps]
    return b"".join([*program, *allow])


def _step(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, value)


def _argument(offset: int) -> bytes:
    return _step(_LOAD, offset)


def _first(number: int) -> bytes:
    """Load the lower half of an argument, counted from 0; both machines are little-endian."""
    return _argument(16 + number * 8)


def _unless(values: Sequence[int], steps: list[bytes]) -> list[bytes]:
    return [each for value in values for each in (_step(_EQUAL, value, 0, len(steps)), *steps)]


def _column() -> int | None:
    found = _ARCHITECTURES.get(platform.machine())
    # A 32-bit interpreter on such a machine has other numbers.
    return None if found is None or sys.maxsize < 2**32 else found[0]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _failed(what: str, path: str | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}", path)
