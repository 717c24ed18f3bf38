"""`quell data`: which public traces there are, and fetching them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from ..env.world.fetch import DATASETS, dataset_named, fetch
from .terminal import console, notice, progress


def list_data(is_text: bool) -> list[dict[str, Any]]:
    """The public traces; printed as a table where asked for."""
    if is_text:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for column in ("name", "contents", "licence"):
            table.add_column(column, overflow="fold", no_wrap=column == "name")
        for dataset in DATASETS:
            table.add_row(dataset.name, dataset.contents, dataset.licence)
        console.print(table)
    return [asdict(dataset) for dataset in DATASETS]


def fetch_data(name: str, folder: Path) -> None:
    """Fetches one trace into a folder and says how to use it.

    Raises:
        QuellError: the name is unknown, the network fails, or what came is not what was asked for.
    """
    dataset = dataset_named(name)
    with progress(f"fetching {dataset.name} (bytes)") as on_progress:
        fetched = fetch(dataset, folder, on_progress)
    kind, _, path = dataset.workload.partition(":")
    notice(f"{fetched.message} Please acknowledge: {dataset.acknowledgement}")
    console.print(f"quell run --workload {kind}:{folder / path}", soft_wrap=True)
