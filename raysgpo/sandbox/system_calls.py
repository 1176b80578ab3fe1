"""What a program may not ask of the kernel: a seccomp filter, as bytes that bwrap loads.

The namespaces leave a program nothing to reach; the filter keeps it from what reaches past them, and from
memory that no rlimit counts. Refused calls fail with EPERM, so that a program goes on without them. It has threads and
no processes: then the bounds of its one process are those of all that it does.
"""

from __future__ import annotations

import errno
import struct

_MACHINE = 0xC000003E
"""AUDIT_ARCH_X86_64."""
_X32 = 0x40000000
"""From here on the numbers are the same calls under another name."""
_CLONE, _CLONE3 = 56, 435
_THREAD = 0x00010000
"""CLONE_THREAD."""
REFUSED = {
    "a process": {"fork": 57, "vfork": 58, "execveat": 322},
    "another process": {
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_getfd": 438,
    },
    "the network": {"socket": 41},
    "memory outside of the address space": {
        "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "shmat": 30, "shmctl": 31, "msgget": 68, "semget": 64,
        "mq_open": 240,
    },
    "namespaces and mounts": {
        "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
        "open_by_handle_at": 304, "name_to_handle_at": 303,
    },
    "the kernel": {
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "init_module": 175,
        "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320, "reboot": 169,
        "swapon": 167, "swapoff": 168, "acct": 163, "quotactl": 179, "quotactl_fd": 443, "syslog": 103, "iopl": 172,
        "ioperm": 173, "personality": 135, "modify_ldt": 154, "fanotify_init": 300, "inotify_init": 253,
        "inotify_init1": 294, "lookup_dcookie": 212, "nfsservctl": 180,
    },
}  # fmt: skip
"""Numbers on x86-64, by what a program would get."""

# Classic BPF: (code, jump if true, jump if false, operand).
_Instruction = tuple[int, int, int, int]
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in ``struct seccomp_data``."""
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def seccomp_filter() -> bytes:
    """An array of ``struct sock_filter``."""
    numbers = sorted(number for calls in REFUSED.values() for number in calls.values())
    return b"".join(struct.pack("=HBBI", *one) for one in _program(numbers))


def _program(numbers: list[int]) -> list[_Instruction]:
    refuse = (_RETURN, 0, 0, _ERROR | errno.EPERM)
    head: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _MACHINE),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        refuse,
        # glibc asks for clone3 first, whose flags no filter can read, and then for clone.
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
        (_EQUAL, 0, 4, _CLONE),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _THREAD),
        (_RETURN, 0, 0, _ALLOW),
        refuse,
    ]
    tail = [instruction for number in numbers for instruction in ((_EQUAL, 0, 1, number), refuse)]
    return [*head, *tail, (_RETURN, 0, 0, _ALLOW)]
