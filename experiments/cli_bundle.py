"""`quell bundle` on the command line: what an exported policy says about itself, and figures recorded in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import Json, print_json
from .interruption import ended_at_once
from .terminal import console, notice

bundle_app = typer.Typer(help="Look at exported policies, and record figures in them.", no_args_is_help=True)


@bundle_app.command("show")
def show(
    bundle: Annotated[
        Path | None,
        typer.Argument(help="A policy (.quell); by default the one that comes with Quell.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest instead of text.")] = False,
) -> None:
    """What a policy says about itself: features, training, validation, forecaster, and the suites recorded in it."""
    with ended_at_once():
        from .bundle_text import bundle_text, manifest_document
        from .planners import LEARNED, bundle_path

    path = bundle or bundle_path(LEARNED)
    assert path is not None  # `learned` always names a bundle
    if as_json:
        print_json(manifest_document(path))
    else:
        console.print(bundle_text(path))


@bundle_app.command("record")
def record(
    bundle: Annotated[Path, typer.Argument(help="The policy (.quell) that the figures are of.", show_default=False)],
    figures: Annotated[Path, typer.Argument(help="Written by `quell evaluate --output`.", show_default=False)],
    name: Annotated[str, typer.Option(help="What the suite is called, such as bitbrains-test.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the policy with its figures here, and leave the old one as it is."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put them in the place of figures of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Record figures in the manifest of the policy that they are of; its networks stay as they are."""
    with ended_at_once():
        from .recording import RecordAsked, record_figures

    recorded = record_figures(RecordAsked(bundle, figures, name, output, replace))
    if as_json:
        print_json(recorded)
    else:
        notice(f"suite {name} recorded in {recorded['bundle']} ({recorded['bytes']:,} bytes)")
