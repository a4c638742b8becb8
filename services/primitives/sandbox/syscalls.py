"""The system calls that a process which reads content may not make: a filter of the kernel (seccomp), made by hand.

It needs no privilege, it holds in containers that forbid namespaces, and nothing in the process can take it off.
"""

import ctypes
import platform
import struct

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 1  # EPERM
_NUMBER, _ARCHITECTURE = 0, 4  # places in `struct seccomp_data`
_X32 = 0x40000000
# From the kernel's tables of system calls: no socket, no program, no process, no look into another process, no
# mount, no namespace, no door into the kernel that has a history of faults.
_X86_64 = {
    "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53, "fork": 57, "vfork": 58,
    "execve": 59, "kill": 62, "ptrace": 101, "setns": 308, "mount": 165, "chroot": 161, "pivot_root": 155,
    "keyctl": 250, "add_key": 248, "unshare": 272, "accept4": 288, "perf_event_open": 298, "process_vm_readv": 310,
    "process_vm_writev": 311, "bpf": 321, "execveat": 322, "userfaultfd": 323, "io_uring_setup": 425,
}  # fmt: skip
_AARCH64 = {
    "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "execve": 221,
    "kill": 129, "ptrace": 117, "mount": 40, "chroot": 51, "pivot_root": 41, "unshare": 97, "setns": 268,
    "keyctl": 219, "add_key": 217, "accept4": 242, "perf_event_open": 241, "process_vm_readv": 270,
    "process_vm_writev": 271, "bpf": 280, "execveat": 281, "userfaultfd": 282, "io_uring_setup": 425,
}  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_system_calls() -> bool:
    """Refuse the calls from now on, in this process and its threads.

    Returns:
        Whether the kernel does; not on other systems than Linux, and on other processors than the known ones.
    """
    known = _MACHINES.get(platform.machine())
    if platform.system() != "Linux" or known is None:
        return False
    code = _filter(*known)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _filter(architecture: int, refused: dict[str, int]) -> bytes:
    """Return the filter's instructions: code, jump if true, jump if false, value."""
    numbers = sorted(refused.values())
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    steps.append((_AT_LEAST, len(numbers) + 1, 0, _X32))
    steps += [(_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
