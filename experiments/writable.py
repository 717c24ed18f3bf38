"""Whether a file can be written, and a folder is nobody else's: found out before the work whose result goes there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..env.model.errors import StoreError
from ..env.model.files import replaceable
from .terminal import notice

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

PROBED_BYTES = 2**18  # bundles and plots are smaller


def try_out(path: Path) -> None:
    """Finds out before the work whether a file can be written at its end; nothing is left behind.

    Pipes and devices are not opened: who reads there would take it for the whole.

    Raises:
        StoreError: it cannot.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        file = replaceable(path)
        if file is not None:
            _probe(file)
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error


def _probe(path: Path) -> None:
    """Writes a file beside the one that is to be written, and takes it away again."""
    probe = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        with probe.open("xb") as file:
            file.write(bytes(PROBED_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        with suppress(OSError):
            probe.unlink()


def refuse_same(**files: Path | None) -> None:
    """Refuses that two files to be written are one: the second would take the place of the first.

    Args:
        **files: by the name of their options; None for those that nobody asked for.

    Raises:
        StoreError: two are the same.
    """
    option_of: dict[str, str] = {}
    for option, file in files.items():
        if file is not None:
            first = option_of.setdefault(os.path.realpath(file), option)
            if first != option:
                raise StoreError(f"--{first} and --{option} name the same file, {file}")


def writable_folder(name: str, option: str) -> Path:
    """A folder for results, made and tried out before any work starts.

    Args:
        name: of the folder.
        option: of the command line, that named it.

    Raises:
        StoreError: it cannot be made, or nothing can be written there.
    """
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{option} {name}: cannot be made: {error.strerror or error}") from None
    try_out(folder / "policy.quell")
    return folder


@contextmanager
def claimed(folder: Path, option: str) -> Iterator[None]:
    """Keeps a folder for this process as long as the block, so that the results of two do not get mixed up in it.

    The claim is a lock on the folder itself: nothing is left behind, and it ends with the process, however that ends.

    Args:
        folder: it exists.
        option: of the command line, that named it.

    Raises:
        StoreError: another process has it.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder, f"{option} {folder}: another run is writing there; name another folder")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def claimed_file(file: Path, option: str) -> Iterator[None]:
    """Keeps the name of a file for this process as long as the block, so that no two write it one after the other.

    The claim is a lock on a hidden file beside it, which is taken away at the end; one that a killed process has left
    there is in nobody's way.

    Args:
        file: that is to be written; its folder exists.
        option: of the command line, that named it.

    Raises:
        StoreError: another process has it, or nothing can be written there.
    """
    if fcntl is None:
        yield
        return
    place = Path(os.path.realpath(file))
    lock = place.with_name(f".{place.name}.lock")
    descriptor = _held(lock, file, f"{option} {file}: another training is writing it; name another file")
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(descriptor)


def _held(lock: Path, file: Path, refusal: str) -> int:
    """The descriptor of a lock file that is ours."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StoreError(f"{file} cannot be written: {error.strerror or error}") from error
        try:
            _lock(descriptor, file, refusal)
            if lock.exists() and lock.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # who had it took the file away meanwhile, and a third may have made a new one


def _lock(descriptor: int, place: Path, refusal: str) -> None:
    """Locks an open file or folder until it is closed.

    Raises:
        StoreError: another process has it; the refusal says so.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(refusal) from None
    except OSError as error:  # some network file systems have no locks
        notice(f"{place}: cannot be kept for this run alone ({error.strerror or error})")
