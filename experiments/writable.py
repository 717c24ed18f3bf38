"""Whether a file can be written, and a folder is nobody else's: found out before the work whose result goes there."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..env.model.errors import StoreError
from .terminal import notice

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

PROBED_BYTES = 2**18  # bundles and plots are smaller


def try_out(path: Path) -> None:
    """Finds out before the work whether a file can be written at its end; nothing is left behind.

    Raises:
        StoreError: it cannot.
    """
    probe = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with probe.open("xb") as file:
            file.write(bytes(PROBED_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            probe.unlink()


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
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{option} {folder}: another run is writing there; name another folder") from None
        except OSError as error:  # some network file systems have no locks
            notice(f"{folder}: cannot be kept for this run alone ({error.strerror or error})")
        yield
    finally:
        os.close(descriptor)
