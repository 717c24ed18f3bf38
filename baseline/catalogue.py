"""Planners by name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from ..env.model.errors import QuellError
from ..env.model.planner import Planner
from ..env.world.workload import Episode
from .ads import Ads
from .clairvoyant import Clairvoyant
from .mode import Mode
from .nothing import Nothing
from .spread import Spread
from .tuned import Tuned

NAMES = ("none", "spread", "ads", "tuned", "exact", "clairvoyant")


def make_planner(name: str, episode: Episode | None = None, mode: Mode = Mode.ENABLED) -> Planner:
    """A planner without learning.

    Args:
        name: one of `NAMES`.
        episode: the day that is played. The clairvoyant planner needs it; without one somebody waits for a single
            plan, so `ads` searches, and `exact` proves, as long as the settings allow.
        mode: of `ads`; the others know only one.

    Raises:
        QuellError: there is no planner of this name, or it needs an episode and there is none.
    """
    if name == "none":
        return Nothing()
    if name == "spread":
        return Spread()
    if name == "ads":
        return Ads(is_interactive=episode is None, mode=mode)
    if name == "tuned":
        return Tuned()
    if name == "exact":
        from .exact import Exact  # here, so that the others do not wait for OR-tools

        return Exact(is_interactive=episode is None)
    if name == "clairvoyant":
        if episode is None:
            raise QuellError("planner 'clairvoyant' needs a simulated day whose future it knows; a snapshot has none")
        return Clairvoyant(episode)
    raise unknown_planner(name)


def unknown_planner(name: str, names: Sequence[str] = NAMES) -> QuellError:
    """The error for a name that is none of some names: what may have been meant, or what there is."""
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)} and the paths of bundles (.quell)"
    return QuellError(f"planner {name!r} is unknown; {hint}")
