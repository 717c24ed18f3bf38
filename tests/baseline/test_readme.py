"""The table that holds `ads` against its documents: everything it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "baseline" / "README.md"
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in TABLE.read_text().split("## Numbers")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| sentence", "|---"))
]


@cache
def names_in(path: Path) -> set[str]:
    """Names of the tests in a file, those of classes as `Class::test`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def test_the_table_is_there() -> None:
    assert len(ROWS) > 50


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_every_row_names_code_and_a_test_that_exist(row: list[str]) -> None:
    sentence, code, tests = row
    paths = re.findall(r"`([a-z_/]+\.py)`", code)
    assert sentence and paths
    assert [p for p in paths if not (ROOT / p).is_file()] == []
    named = re.findall(r"`([a-z_/]+\.py)::([\w:]+)`", tests)
    assert named and len(named) == tests.count("`") // 2, tests
    for path, test in named:
        assert test in names_in(ROOT / "tests" / path), f"{path} has no {test}"
