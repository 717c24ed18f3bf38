"""`quell` run in the process of a test."""

from __future__ import annotations

import sys

import pytest

from quell.__main__ import main


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `quell ARGUMENTS`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["quell", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    return int(exit_info.value.code or 0)
