"""Makes `gym.make("quell/Cluster-v0")` work after `import quell.env`, whichever of the two is imported first.

Gymnasium 1.x looks for no entry points of other packages, so an id exists only once `gymnasium.register` was called.
Serving a policy must not import Gymnasium, so this module imports it in no case by itself: where Gymnasium is there
already it registers at once, else a finder on `sys.meta_path` waits for somebody else's `import gymnasium`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

CLUSTER_ENV_ID = "quell/Cluster-v0"
_GYMNASIUM = "gymnasium"


def register_envs() -> None:
    """Registers the ids of Quell's environments with Gymnasium; a second call changes nothing."""
    import gymnasium

    if CLUSTER_ENV_ID not in gymnasium.registry:
        gymnasium.register(
            id=CLUSTER_ENV_ID,
            entry_point="quell.env.gym.cluster_env:ClusterEnv",
            vector_entry_point="quell.env.gym.vector_env:ClusterVectorEnv",
        )


def register_envs_with_gymnasium() -> None:
    """Registers now where Gymnasium has been imported, else as soon as somebody imports it."""
    if _GYMNASIUM in sys.modules:
        register_envs()
    elif not any(isinstance(finder, _GymnasiumFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _GymnasiumFinder())


class _GymnasiumFinder(MetaPathFinder):
    """Finds Gymnasium as the other finders do, and has its loader register our ids at the end."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _GYMNASIUM:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((found for found in specs if found is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader, self)
        return spec


class _RegisteringLoader(Loader):
    """Loads a module with the loader given, registers our ids, and takes the finder that made it away."""

    def __init__(self, loader: Loader, finder: MetaPathFinder) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # From here on the module is as if this class had never been: tools that read sources ask its loader.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        register_envs()
