"""Writing files so that nobody ever finds one half written."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from .errors import StoreError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file in one step: readers see the old content or the new, whatever happens in between.

    The content goes to a temporary name in the same folder, to the disk, and is then renamed. Of two writers at once
    the later one wins.

    Args:
        path: the file to write; its folder must exist.
        content: text (stored as UTF-8, line ends as they are) or bytes.

    Raises:
        StoreError: the file cannot be written; what was there before is untouched and nothing new is left behind.
    """
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # gone already where the renaming succeeded
            temporary.unlink()
