"""Whether a file can be written: found out before the work whose result it is to hold."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from ..env.model.errors import StoreError

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
