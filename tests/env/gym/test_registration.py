"""`quell/Cluster-v0` exists after `import quell.env`, in either order, and nothing of ours imports Gymnasium for it.

What is imported first matters, so every story runs in a fresh interpreter.
"""

from __future__ import annotations

import subprocess
import sys

import pytest


def run_python(program: str) -> str:
    """What a program prints in a fresh interpreter, where every warning is an error."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


OURS = "from quell.env.gym.registration import *"
SHOW_ENTRY_POINT = "; print(gymnasium.spec('quell/Cluster-v0').entry_point)"


@pytest.mark.parametrize(
    "imports",
    [
        "import quell.env; import gymnasium",
        "import gymnasium; import quell.env",
        "import quell.env; from gymnasium import spaces; import gymnasium",
        "import quell.env; import importlib.util; importlib.util.find_spec('gymnasium'); import gymnasium",
        f"{OURS}; import gymnasium; register_envs(); register_envs()",
        f"{OURS}; register_envs_with_gymnasium(); import gymnasium",
    ],
)
def test_the_id_is_registered_whatever_is_imported_first(imports: str) -> None:
    assert run_python(imports + SHOW_ENTRY_POINT) == "quell.env.gym.cluster_env:ClusterEnv"


def test_without_quell_the_id_is_unknown() -> None:
    assert run_python("import gymnasium; print('quell/Cluster-v0' in gymnasium.registry)") == "False"


def test_importing_the_model_does_not_import_gymnasium() -> None:
    assert run_python("import sys; import quell.env.model.cluster; print('gymnasium' in sys.modules)") == "False"


def test_the_import_system_is_as_before_once_gymnasium_is_imported() -> None:
    program = """
import inspect, sys
before = list(sys.meta_path)
import quell.env
assert sys.meta_path != before
import gymnasium
assert sys.meta_path == before
print(inspect.getsource(gymnasium) != "", type(gymnasium.__loader__).__name__)
"""
    assert run_python(program) == "True SourceFileLoader"
