"""The rights that a process gives up before it reads what a stranger wrote."""

import ctypes
import os
import pkgutil
import resource
import signal
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec

import webencodings

from services.primitives.sandbox.syscalls import refuse_system_calls

_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_FILES = 32
# These modules are imported at their first use only.
_LATER = {
    "pypdfium2": ("pypdfium2",),
    "pypdf": ("pypdf", "pypdf.filters", "pypdf._codecs._codecs"),
    "oxmsg": ("oxmsg.storage", "oxmsg.properties", "olefile"),
    "compressed_rtf": ("compressed_rtf",),
    "striprtf": ("striprtf.striprtf", "services.primitives.documents.rtf"),
}
"""The modules of each optional package, which are imported with the first document otherwise."""


@dataclass(frozen=True)
class Confinement:
    """The bounds of a process.

    Args:
        memory_bytes: Address space.
        cpu_seconds: Time of processor for one content.
        uid: The user and the group that a process started by root changes to.
        has_model: Whether the process loads the model of texts.
        scan_data: The folder with the data of `scan_languages`, for a process that reads pictures of pages; empty for
            others.
        scan_languages: The languages, as Tesseract names them.
    """

    memory_bytes: int
    cpu_seconds: float
    uid: int
    has_model: bool = False
    scan_data: str = ""
    scan_languages: str = ""

    def words(self) -> list[str]:
        """Return the bounds as arguments of a command."""
        return [str(value) for value in asdict(self).values()]

    @classmethod
    def of(cls, words: list[str]) -> "Confinement":
        """Read the arguments that `words` wrote."""
        return cls(int(words[0]), float(words[1]), int(words[2]), words[3] == str(True), words[4], words[5])


def confine(bounds: Confinement) -> None:
    """Give up the rights, for good. No file can be opened and no core dumped; the parent alone ends the process.

    Raises:
        FilterError: The system is Linux, and the filter of system calls does not hold.
    """
    _load()  # nothing can be opened later
    _leave_network()
    resource.setrlimit(resource.RLIMIT_AS, (bounds.memory_bytes, bounds.memory_bytes))
    # No process and no thread either, which the kernel refuses to all users but root.
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(bounds.uid)
        os.setuid(bounds.uid)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    refuse_system_calls()


def _leave_network() -> None:
    """Enter an empty network where the system allows it; the filter of system calls refuses sockets in any case."""
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is not None:
        unshare(_NEW_NETWORK if os.geteuid() == 0 else _NEW_NETWORK | _NEW_USER)


def _load() -> None:
    for package, names in _LATER.items():
        if find_spec(package) is not None:
            for name in names:
                import_module(name)
    webencodings.lookup("x-user-defined")  # older versions import it here
    encodings = import_module("encodings")
    for module in pkgutil.iter_modules(encodings.__path__):
        if module.name not in ("mbcs", "oem", "cp65001"):
            import_module(f"encodings.{module.name}")
