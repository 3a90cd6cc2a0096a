"""What the seccomp filter answers on either machine, by running its program here."""

import errno
import os
import struct
from collections.abc import Sequence

import pytest

from ocelog.sandbox import kernel

X86, ARM = "x86_64", "aarch64"
CODES = {X86: 0xC000003E, ARM: 0xC00000B7}
ALLOWED, KILLED = "allowed", "killed"


def answer(
    machine: str, number: int, *arguments: int, writing: bool = True, network: bool = False, code: int | None = None
) -> str:
    """Run the filter of `machine` on a system call, as the kernel would."""
    given: Sequence[int] = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number, CODES[machine] if code is None else code, 0, *given)
    program = kernel._filter(kernel._ARCHITECTURES[machine][0], writing=writing, network=network)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, held = 0, 0
    while True:
        code_, yes, no, value = steps[at]
        at += 1
        match code_:
            case 0x20:
                (held,) = struct.unpack_from("=I", data, value)
            case 0x54:
                held &= value
            case 0x06:
                if value == 0x7FFF0000:
                    return ALLOWED
                return KILLED if value == 0x80000000 else errno.errorcode[value & 0xFFFF]
            case _:
                met = {0x15: held == value, 0x25: held > value, 0x45: bool(held & value)}[code_]
                at += yes if met else no


@pytest.mark.parametrize(
    ("machine", "numbers"),
    [
        (
            X86,
            {"read": 0, "mmap": 9, "futex": 202, "getrandom": 318, "pread64": 17, "exit_group": 231, "landlock": 446},
        ),
        (
            ARM,
            {"read": 63, "mmap": 222, "futex": 98, "getrandom": 278, "pread64": 67, "exit_group": 94, "landlock": 446},
        ),
    ],
)
def test_what_the_engine_needs_is_allowed(machine: str, numbers: dict[str, int]) -> None:
    assert {name: answer(machine, number) for name, number in numbers.items()} == dict.fromkeys(numbers, ALLOWED)


@pytest.mark.parametrize(
    ("machine", "numbers"),
    [
        (X86, {"socket": 41, "kill": 62, "execve": 59, "fork": 57, "ptrace": 101, "chmod": 90, "io_uring_setup": 425}),
        (ARM, {"socket": 198, "kill": 129, "execve": 221, "ptrace": 117, "fchmodat": 53, "io_uring_setup": 425}),
    ],
)
def test_what_reaches_out_is_denied(machine: str, numbers: dict[str, int]) -> None:
    assert {name: answer(machine, number) for name, number in numbers.items()} == dict.fromkeys(numbers, "EPERM")


@pytest.mark.parametrize("machine", [X86, ARM])
def test_another_machine_is_ended_and_a_newer_call_is_unknown(machine: str) -> None:
    other = CODES[ARM if machine == X86 else X86]
    assert answer(machine, 0, code=other) == KILLED
    # 32-bit calls of x86, and those of its other numbering.
    assert answer(machine, 11, code=0x40000003) == KILLED
    for number in (452, 463, 0x40000000 + 59, 0xFFFFFFFF):
        assert answer(machine, number) == "ENOSYS"


@pytest.mark.parametrize(("machine", "openat"), [(X86, 257), (ARM, 56)])
def test_opening_depends_on_what_for(machine: str, openat: int) -> None:
    def opening(flags: int, *, writing: bool) -> str:
        return answer(machine, openat, 0, 0, flags, writing=writing)

    for flags in (os.O_RDONLY, os.O_RDONLY | os.O_CLOEXEC, os.O_RDONLY | os.O_NONBLOCK):
        assert opening(flags, writing=True) == opening(flags, writing=False) == ALLOWED
    for flags in (os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_TRUNC, os.O_CREAT, 3):
        assert opening(flags, writing=False) == "EPERM"
    for flags in (os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
        assert opening(flags, writing=True) == ALLOWED
    for flags in (os.O_RDONLY | os.O_TRUNC, 3 | os.O_TRUNC):
        assert opening(flags, writing=True) == "EPERM"


@pytest.mark.parametrize(
    ("machine", "tgkill", "prlimit", "clone", "fcntl", "prctl"),
    [(X86, 234, 302, 56, 72, 157), (ARM, 131, 261, 220, 25, 167)],
)
def test_calls_that_may_mean_oneself_are_told_apart(
    machine: str, tgkill: int, prlimit: int, clone: int, fcntl: int, prctl: int
) -> None:
    assert answer(machine, tgkill, os.getpid(), 1, 6) == ALLOWED
    assert answer(machine, tgkill, os.getpid() + 1, 1, 9) == "EPERM"
    assert answer(machine, prlimit, 0, 7, 0) == ALLOWED
    for arguments in ((1, 7, 0), (0, 7, 1), (0, 7, 1 << 32)):
        assert answer(machine, prlimit, *arguments) == "EPERM"
    assert answer(machine, clone, 0x003D0F00) == ALLOWED
    assert answer(machine, clone, 17) == "EPERM"
    assert answer(machine, fcntl, 3, 1) == ALLOWED
    for command in (8, 10, 15, 1024):
        assert answer(machine, fcntl, 3, command) == "EPERM"
    assert answer(machine, prctl, 15) == ALLOWED
    assert answer(machine, prctl, 1) == "EPERM"


@pytest.mark.parametrize(
    ("machine", "socket", "connect", "ioctl", "waiting"),
    [(X86, 41, 42, 16, (49, 50, 43, 288, 53)), (ARM, 198, 203, 29, (200, 201, 202, 242, 199))],
)
def test_with_a_network_it_connects_over_ip_alone(
    machine: str, socket: int, connect: int, ioctl: int, waiting: Sequence[int]
) -> None:
    unix, ipv4, ipv6, netlink, packet = 1, 2, 10, 16, 17
    for family in (unix, ipv4, ipv6, netlink, packet):
        expected = ALLOWED if family in {ipv4, ipv6} else "EPERM"
        assert answer(machine, socket, family, network=True) == expected
        assert answer(machine, socket, family) == "EPERM"
    assert [answer(machine, connect, network=each) for each in (False, True)] == ["EPERM", ALLOWED]
    assert [answer(machine, ioctl, 0, 0x5421, network=each) for each in (False, True)] == ["ENOTTY", ALLOWED]
    assert answer(machine, ioctl, 0, 0x5412, network=True) == "ENOTTY"
    assert {answer(machine, number, network=True) for number in waiting} == {"EPERM"}


@pytest.mark.parametrize(("machine", "mmap"), [(X86, 9), (ARM, 222)])
def test_memory_that_no_limit_counts_is_not_to_be_had(machine: str, mmap: int) -> None:
    shared, private, checked, anonymous = 1, 2, 3, 0x20
    for flags in (private, private | anonymous, shared, private | anonymous | 0x4000):
        assert answer(machine, mmap, 0, 4096, 3, flags) == ALLOWED
    for flags in (shared | anonymous, checked | anonymous):
        assert answer(machine, mmap, 0, 4096, 3, flags) == "EPERM"
