"""Whether a scheduler acts on what it finds."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """Modes of a scheduler; by default it is enabled."""

    ENABLED = "enabled"
    DISABLED = "disabled"  # contentions are still found and told, nothing is moved
