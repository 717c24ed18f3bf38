"""Writing files so that nobody ever finds one half written."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from .errors import StoreError

STREAM_FOLDERS = ("/dev", "/proc")  # links in there lead to a process's own streams: /dev/stdout, /dev/fd/63


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file in one step: readers see the old content or the new, whatever happens in between.

    The content goes to a temporary name in the same folder, to the disk, and is then renamed. Of two writers at once
    the later one wins. Of a symbolic link it is the target that is written, and the link stays. What is no regular
    file (a pipe, a device, `/dev/stdout`) cannot be written in one step: the content goes straight there.

    Args:
        path: the file to write; its folder must exist.
        content: text (stored as UTF-8, line ends as they are) or bytes.

    Raises:
        StoreError: the file cannot be written; what was there before is untouched and nothing new is left behind.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        file = replaceable(path)
        if file is None:
            with path.open("ab") as stream:  # a file behind /dev/stdout keeps what was printed before
                stream.write(data)
        else:
            _replace(file, data)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error


def replaceable(path: Path) -> Path | None:
    """The regular file that a path stands for, there or not, links followed; None where it is something else.

    Raises:
        OSError: the path leads nowhere: links that go round in a circle, a file where a folder should be.
    """
    if path.is_symlink() and any(path.absolute().is_relative_to(folder) for folder in STREAM_FOLDERS):
        return None
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    is_replaceable = stat.S_ISREG(mode) or stat.S_ISDIR(mode)  # of a folder the renaming says what is wrong
    return Path(os.path.realpath(path)) if is_replaceable else None


def _replace(path: Path, data: bytes) -> None:
    """Puts a new file in the place of an old one, if there is one."""
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # gone already where the renaming succeeded
            temporary.unlink()
