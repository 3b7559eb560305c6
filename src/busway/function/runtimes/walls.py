"""What the kernel keeps a worker from: Landlock for files and signals, seccomp for system calls, a /tmp of its own.

Run in the worker, before any code of the handler; standard library only. `launch.py` calls `stand` with lines as
`sandbox.py` writes them, one letter and a path:

    r  may be read and run            l  the names in it, and below it, may be listed
    w  may be read and written        d  a device: may be read and written
    t  the folder that becomes /tmp, where the kernel lets us mount; s  what may be written where it does not
    u  the number of the user to become, of root only

Everything else of the file system is out of reach, and nothing outside the worker gets a signal or is looked into.
What Landlock does not know stays open: names, sizes and modes of files, Unix sockets, the network.
https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import struct

# Not imported from typing, which would be a third of the time in which a worker starts.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

MACHINE = os.uname().machine
LIBC = ctypes.CDLL(None, use_errno=True)
# (x86_64, aarch64); https://github.com/torvalds/linux/tree/master/arch/x86/entry/syscalls and
# include/uapi/asm-generic/unistd.h. From 424 on both are the same.
NEITHER = -1
REFUSED = {
    # Looking into, and changing, other processes.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    # Another file system, or another name space.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467), "unshare": (272, 97),
    "setns": (308, 268), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # The kernel itself.
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "lookup_dcookie": (212, 18), "modify_ldt": (154, NEITHER), "iopl": (172, NEITHER), "ioperm": (173, NEITHER),
    # Keys, and what belongs to the whole machine.
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    # System V's and POSIX's shared objects, which outlive whoever made them and are every process's to open.
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semctl": (66, 191),
    "msgget": (68, 186), "msgctl": (71, 187), "mq_open": (240, 180),
    # What belongs to the whole machine.
    "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116), "vhangup": (153, 58),
}  # fmt: skip
CLONE, CLONE3 = (56, 220), (435, 435)
# Allowed for the caller alone, whom the process number 0 means: the limits or turns of the server are not a worker's
# business. A number of its own is refused as well: a filter can't tell it, and children inherit the filter.
FOR_ITSELF = {
    "prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}  # fmt: skip
# The same of calls whose second argument is the number, and the first what it is of; that may not be (the last here)
# everything of a user, of which the server is one.
FOR_ITS_KIND = {"setpriority": (141, 140, 2), "ioprio_set": (251, 30, 3)}
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
NEW_SPACES = 0x7E02_0000
# AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64; the number from which x86_64's calls are those of its x32 variant.
ARCHITECTURES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
X32_FROM = 0x4000_0000

EPERM, ENOSYS = 1, 38
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
# Classic BPF: load a word of `struct seccomp_data`, compare, return.
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT, SECOND_ARGUMENT_AT = 0, 4, 16, 24

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
# How many rights of files each version of Landlock knows.
RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}
RIGHTS_NOW = 16
MOVES_ABI, SCOPE_ABI, SCOPE_SOCKETS_AND_SIGNALS = 2, 6, 0b11
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446

CAPSET = {"x86_64": 126, "aarch64": 91}
CAPABILITY_VERSION_3 = 0x2008_0522
# CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE: what root needs to read code that is someone else's.
KEPT_CAPABILITIES = 1 << 1 | 1 << 2 | 1 << 10

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 1 << 5, 1 << 12, 1 << 14, 1 << 19
MS_KEPT = 0b1110

TMP = "/tmp"


class Refused(Exception):
    """A wall can't be had: no handler runs without it."""


def call(what: str | int, *arguments: Any) -> int:
    """A function of libc by name, or a system call by number; its result. Raises OSError."""
    function = getattr(LIBC, what) if isinstance(what, str) else LIBC.syscall
    function.restype = ctypes.c_long
    given = arguments if isinstance(what, str) else (what, *arguments)
    result: int = function(*(ctypes.c_long(word) if isinstance(word, int) else word for word in given))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(what))
    return result


# --- system calls ---


def filter_program(machine: str) -> list[tuple[int, int, int, int]]:
    """The seccomp filter as rows (code, jump if true, jump if false, value). Raises KeyError for another machine."""
    column, architecture = ARCHITECTURES[machine]
    # Rows (code, if true, if false, value): how many rows to skip, or the end to jump to.
    rows: list[tuple[int, int | str, int | str, int]] = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 0, "another", architecture),
        (LOAD, 0, 0, NUMBER_AT),
    ]
    if machine == "x86_64":
        rows += [(AT_LEAST, "refuse", 0, X32_FROM)]
    # Its flags lie in memory, where a filter can't look: libraries then take `clone`.
    rows += [(EQUAL, "unknown", 0, CLONE3[column])]
    refused = sorted(numbers[column] for numbers in REFUSED.values() if numbers[column] != NEITHER)
    rows += [(EQUAL, "refuse", 0, number) for number in refused]
    # A number or a flag is an `int`, of which the kernel reads the lower half that is loaded here.
    rows += [(EQUAL, 0, 2, CLONE[column]), (LOAD, 0, 0, FIRST_ARGUMENT_AT), (ANY_BIT, "refuse", "allow", NEW_SPACES)]
    for numbers in FOR_ITSELF.values():
        rows += [(EQUAL, 0, 2, numbers[column]), (LOAD, 0, 0, FIRST_ARGUMENT_AT), (EQUAL, "allow", "refuse", 0)]
    for *by_machine, user in FOR_ITS_KIND.values():
        rows += [(EQUAL, 0, 4, by_machine[column]), (LOAD, 0, 0, FIRST_ARGUMENT_AT), (EQUAL, "refuse", 0, user)]
        rows += [(LOAD, 0, 0, SECOND_ARGUMENT_AT), (EQUAL, "allow", "refuse", 0)]
    ends = {"allow": ALLOW, "unknown": ERRNO | ENOSYS, "refuse": ERRNO | EPERM, "another": KILL_PROCESS}
    places = {end: len(rows) + place for place, end in enumerate(ends)}

    def jump(to: int | str, place: int) -> int:
        return to if isinstance(to, int) else places[to] - place - 1

    resolved = [(code, jump(a, place), jump(b, place), value) for place, (code, a, b, value) in enumerate(rows)]
    return [*resolved, *((RETURN, 0, 0, value) for value in ends.values())]


def refuse_calls() -> None:
    rows = filter_program(MACHINE)
    code = b"".join(struct.pack("=HBBI", *row) for row in rows)
    held = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(rows), ctypes.addressof(held)))
    call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)


# --- files and signals ---


def landlock_abi() -> int:
    """The version of Landlock that the kernel has, 0 for none. Changes nothing."""
    try:
        return call(CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0


def restrict_files(lines: Iterable[str]) -> None:
    abi = landlock_abi()
    if not abi:
        raise Refused("this kernel has no Landlock")
    every = (1 << RIGHTS_BY_ABI.get(abi, RIGHTS_NOW)) - 1
    scope = SCOPE_SOCKETS_AND_SIGNALS if abi >= SCOPE_ABI else 0
    attributes = struct.pack("=QQQ", every, 0, scope)[: 24 if abi >= SCOPE_ABI else 8]
    rules = call(CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)
    rights = {
        "r": EXECUTE | READ_FILE | READ_DIR,
        "l": READ_DIR,
        "w": every & ~MAKE_CHAR & ~MAKE_BLOCK,
        "d": READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV,
    }
    of_files = EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
    for line in lines:
        allowed = rights[line[0]] & every
        try:
            place = os.open(line[1:], os.O_PATH | os.O_CLOEXEC)
        except OSError:
            # What is not there, or not for this user, is not granted either.
            continue
        if not os.path.isdir(line[1:]):
            allowed &= of_files
        rule = ctypes.c_char_p(struct.pack("=Qi", allowed, place))
        call(ADD_RULE, rules, 1, rule, 0)
        os.close(place)
    call(RESTRICT_SELF, rules, 0)
    os.close(rules)


def drop_capabilities() -> None:
    """Of root's powers only those over files stay, and those the rules above bound."""
    low = KEPT_CAPABILITIES if os.geteuid() == 0 else 0
    header = ctypes.c_char_p(struct.pack("=Ii", CAPABILITY_VERSION_3, 0))
    held = struct.pack("=III", low, low, 0) + struct.pack("=III", 0, 0, 0)
    try:
        call(CAPSET[MACHINE], header, ctypes.c_char_p(held))
    except OSError as error:
        # More than it has can't be kept: then nothing is.
        if error.errno != EPERM:
            raise
        call(CAPSET[MACHINE], header, ctypes.c_char_p(bytes(24)))


# --- a /tmp of its own ---


def own_tmp(scratch: str, kept: Iterable[str]) -> None:
    """Make `scratch` this process's /tmp; what the lines `kept` name stays. Raises OSError without name spaces."""
    enter_mount_space()
    call("mount", None, b"/", None, MS_REC | MS_SLAVE, None)
    for line in outermost(kept):
        path = line[1:]
        if not os.path.exists(path):
            continue
        place = scratch + path.removeprefix(TMP)
        if os.path.isdir(path):
            os.makedirs(place, exist_ok=True)
        elif not os.path.exists(place):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            open(place, "a").close()
        bind(path, place)
        if line[0] == "r":
            flags = os.statvfs(place).f_flag & MS_KEPT | MS_REMOUNT | MS_BIND | MS_RDONLY
            call("mount", None, os.fsencode(place), None, flags, None)
    bind(scratch, TMP)


def outermost(lines: Iterable[str]) -> list[str]:
    """Those below /tmp and what links in them lead to, parents first, without what another one brings along."""
    kept: list[str] = []
    wanted = {line[0] + path for line in lines for path in (line[1:], os.path.realpath(line[1:]))}
    # Of one path, what may be written comes first.
    for line in sorted(wanted, key=lambda line: (line[1:], line[0] == "r")):
        brought = any(other[0] in (line[0], "w") and f"{line[1:]}/".startswith(f"{other[1:]}/") for other in kept)
        if line[1:].startswith(TMP + "/") and not brought:
            kept.append(line)
    return kept


def bind(path: str, place: str) -> None:
    call("mount", os.fsencode(path), os.fsencode(place), None, MS_BIND | MS_REC, None)


def enter_mount_space() -> None:
    try:
        call("unshare", CLONE_NEWNS)
        return
    except OSError:
        user, group = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def stand(lines: Sequence[str]) -> None:
    """Raise every wall, or raise OSError or `Refused`. There is no way back for this process and its children."""
    granted = [line for line in lines if line[0] in "rlwd"]
    scratch = next((line[1:] for line in lines if line[0] == "t"), "")
    own = "w" + scratch
    below = [line for line in granted if line[0] in "rw" and line[1:].startswith(TMP + "/") and line != own]
    here = os.getcwd()
    try:
        if scratch:
            own_tmp(scratch, below)
    except OSError as error:
        say(f"its /tmp is the machine's, one of its own can't be had: {error}")
        scratch = ""
    if scratch:
        os.environ["TMPDIR"] = os.environ["HOME"] = TMP
        granted = [line for line in granted if line != own] + ["w" + TMP]
        os.chdir(here)
    else:
        granted += ["w" + line[1:] for line in lines if line[0] == "s"]
    for line in lines:
        if line[0] == "u":
            become_user(int(line[1:]))
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    restrict_files(granted)
    drop_capabilities()
    refuse_calls()


def become_user(number: int) -> None:
    """Another user of the system, in no group of anybody's, for good. Raises OSError for who is not root."""
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)


def say(what: str) -> None:
    """A line in the function's log."""
    os.write(1, f"[busway: {what}]\n".encode())


def raise_walls(lines: Sequence[str]) -> None:
    """`stand`, or end the process with the reason: no handler runs with less than was asked for."""
    try:
        stand(lines)
    except (OSError, Refused, KeyError) as fault:
        say(f"not started: the sandbox can't be had: {fault}")
        os._exit(126)
