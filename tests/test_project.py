"""What holds for the project as a whole: its packages, which floor may import which, its size, its dependencies."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import quell

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PYPROJECT["tool"]["setuptools"]["packages"]
NO_PACKAGES = {"tests", "build", "dist", "mlruns", "mlartifacts", "quell-output"}
LONGEST_FILE_LINES = 500

# Lowest first: a module may import from its own floor and from those before it.
FLOORS = ["env.model", "env.world", "env.gym", "baseline", "agents", "daemon", "experiments"]
# `quell` holds the version only. `quell.env` registers the Gymnasium ids. `python -m quell` is the command line.
FLOOR_OF_MODULE = {"quell": -1, "quell.env": FLOORS.index("env.gym"), "quell.__main__": len(FLOORS)}

# The only place of the model where documents from outside are checked.
PYDANTIC_MODULE = "quell.env.model.schema"
NUMBA_MODULE = "quell.env.model.compiled"  # how kernels are compiled

# Libraries whose module has another name than their package.
PACKAGE_OF_MODULE = {"google": "protobuf"}

# Serving a policy must start fast and stay small.
NEVER_SERVED = {"torch", "stable_baselines3", "sb3_contrib", "gymnasium", "mlflow"}
SERVING_MODULES = [
    "quell.env.model.snapshot",
    "quell.env.gym.shortlist",
    "quell.env.gym.features",
    "quell.agents.bundle",
    "quell.agents.planner",
]


def package_folder(package: str) -> Path:
    """Where a package's files are: quell is the repository's root."""
    return ROOT.joinpath(*package.split(".")[1:])


def find_modules() -> dict[str, Path]:
    """Every module of the listed packages by its full name."""
    modules = {}
    for package in PACKAGES:
        for path in sorted(package_folder(package).glob("*.py")):
            modules[package if path.stem == "__init__" else f"{package}.{path.stem}"] = path
    return modules


MODULES = find_modules()


def imported_names(source: str, package: str) -> Iterator[str]:
    """Full names of all that a module of this package imports, at its top or inside functions.

    `from a import b` yields `a.b`, whether b is a module or something defined in a.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(module: str) -> set[str]:
    """Full names that a module of ours imports."""
    path = MODULES[module]
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    return set(imported_names(path.read_text(), package))


def own_module(name: str) -> str | None:
    """The module of ours that a full name is, or is defined in; None for other libraries."""
    if name.split(".")[0] != "quell":
        return None
    return name if name in MODULES else name.rpartition(".")[0]


def own_imports(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    return {own for name in imports_of(module) if (own := own_module(name))}


def foreign_imports(module: str) -> set[str]:
    """The libraries a module imports, without the standard library."""
    names = {name.split(".")[0] for name in imports_of(module)}
    return names - sys.stdlib_module_names - {"quell"}


def floor_of(module: str) -> int:
    """How high a module stands: its floor's place in FLOORS."""
    if module in FLOOR_OF_MODULE:
        return FLOOR_OF_MODULE[module]
    place = module.removeprefix("quell.")
    return next(i for i, floor in enumerate(FLOORS) if place == floor or place.startswith(floor + "."))


class TestPackages:
    def test_the_list_in_pyproject_is_what_the_folders_hold(self) -> None:
        found = set()
        for folder, below, files in os.walk(ROOT):
            below[:] = [name for name in below if not name.startswith((".", "_")) and name not in NO_PACKAGES]
            if any(name.endswith(".py") for name in files):
                assert "__init__.py" in files, f"{folder} holds modules but no __init__.py"
                found.add(".".join(["quell", *Path(folder).relative_to(ROOT).parts]))
        assert set(PACKAGES) == found
        assert len(PACKAGES) == len(set(PACKAGES))

    def test_the_command_is_what_python_m_runs(self) -> None:
        """Loading the command line is guarded there: Ctrl-C meanwhile shows no traceback."""
        (command,) = PYPROJECT["project"]["scripts"].values()
        module, _, function = command.partition(":")
        assert (module, function) == ("quell.__main__", "main")
        assert callable(getattr(importlib.import_module(module), function))

    @pytest.mark.slow
    def test_a_wheel_holds_every_module_and_no_tests(self, tmp_path: Path) -> None:
        copy = tmp_path / "quell-copy"
        unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", *NO_PACKAGES)
        shutil.copytree(ROOT, copy, ignore=unwanted)
        pip_wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
        subprocess.run([*pip_wheel, str(copy)], check=True, capture_output=True)
        (wheel,) = tmp_path.glob("*.whl")
        held = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
        assert held == {str(Path("quell") / path.relative_to(ROOT)) for path in MODULES.values()}
        assert wheel.name.startswith(f"quell-{quell.__version__}-py3-none-any")


class TestImports:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("import numpy as np, os.path", {"numpy", "os.path"}),
            ("from numpy import typing", {"numpy.typing"}),
            ("from . import cluster", {"quell.env.model.cluster"}),
            ("from .cluster import Host, Vm", {"quell.env.model.cluster.Host", "quell.env.model.cluster.Vm"}),
            ("from ..world.traces import Trace", {"quell.env.world.traces.Trace"}),
            ("from ... import __version__", {"quell.__version__"}),
            ("from quell.baseline import ads", {"quell.baseline.ads"}),
            ("def f():\n    import torch", {"torch"}),
        ],
    )
    def test_imports_are_read_as_python_reads_them(self, source: str, expected: set[str]) -> None:
        assert set(imported_names(source, "quell.env.model")) == expected

    @pytest.mark.parametrize("module", MODULES)
    def test_a_module_imports_only_modules_that_exist(self, module: str) -> None:
        assert own_imports(module) <= MODULES.keys()

    @pytest.mark.parametrize("module", MODULES)
    def test_a_module_imports_only_from_its_own_floor_or_below(self, module: str) -> None:
        too_high = {other for other in own_imports(module) & MODULES.keys() if floor_of(other) > floor_of(module)}
        assert not too_high

    def test_no_modules_import_each_other_in_a_circle(self) -> None:
        try:
            TopologicalSorter({module: own_imports(module) - {module} for module in MODULES}).prepare()
        except CycleError as error:
            pytest.fail(" imports ".join(reversed(error.args[1])))

    @pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("quell.env.model")])
    def test_the_model_knows_numpy_only(self, module: str) -> None:
        allowed = {"numpy", *{PYDANTIC_MODULE: ["pydantic"], NUMBA_MODULE: ["numba"]}.get(module, [])}
        assert foreign_imports(module) <= allowed

    @pytest.mark.parametrize("module", MODULES)
    def test_a_module_imports_only_libraries_that_pyproject_names(self, module: str) -> None:
        declared = {canonicalize_name(Requirement(text).name) for text in PYPROJECT["project"]["dependencies"]}
        imported = {canonicalize_name(PACKAGE_OF_MODULE.get(name, name)) for name in foreign_imports(module)}
        assert imported <= declared

    def test_serving_loads_no_training_library(self) -> None:
        """All in one fresh interpreter; the first module that loads one is named."""
        assert set(SERVING_MODULES) <= MODULES.keys()
        program = f"""import importlib, sys
for module in {SERVING_MODULES!r}:
    importlib.import_module(module)
    print(module, *sorted({NEVER_SERVED!r} & sys.modules.keys()))"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split("\n") == [*SERVING_MODULES, ""]


class TestDependencies:
    def test_every_dependency_is_pinned_to_a_version_in_its_range(self) -> None:
        pins = {}
        for line in (ROOT / "constraints.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                name, _, version = line.partition("==")
                pins[canonicalize_name(name)] = version
        project = PYPROJECT["project"]
        for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
            wanted = Requirement(text)
            assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), text

    def test_torch_is_pinned_without_a_build_so_that_any_index_can_serve_it(self) -> None:
        assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()


# Built from parts, so that this file does not find itself.
MACHINE_PATH = re.compile(r"(?<![\w.$}~*-])/(?:" + "|".join(["work", "home", "root", "Users", "opt", "mnt"]) + r")/\w")


class TestFiles:
    def test_no_python_file_is_too_long_to_be_read_in_one_sitting(self) -> None:
        sources = [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]
        lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources}
        assert {path: count for path, count in lines.items() if count > LONGEST_FILE_LINES} == {}

    @pytest.mark.parametrize(
        ("text", "is_machine_path"),
        [
            ("/".join(["", "home", "me", "x"]), True),
            ("path=" + "/".join(["", "work", "main"]), True),
            ("the home/work ratio", False),
            ("../shared/data", False),
            ("https://example.org/home/page", False),
        ],
    )
    def test_machine_paths_are_told_from_other_text(self, text: str, is_machine_path: bool) -> None:
        assert bool(MACHINE_PATH.search(text)) == is_machine_path

    def test_no_file_names_a_path_of_one_machine(self) -> None:
        if not (ROOT / ".git").exists():
            pytest.skip("only a git checkout knows which files are the project's")
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found = []
        for name in filter(None, listed.stdout.split("\0")):
            path = ROOT / name
            if not path.is_file():
                continue
            text = path.read_text(errors="replace")
            found += [f"{name}: {line}" for line in text.splitlines() if MACHINE_PATH.search(line)]
        assert found == []
