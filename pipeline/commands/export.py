"""`demijohn export`: a thin shell over `export`."""

from pathlib import Path
from typing import Any

import click

from ..units import format_size
from . import options
from .console import print_json
from .terminal import print_table


@click.command("export", short_help="Make one model of a run: pixels in, probabilities out.")
@options.chosen_run
@click.option(
    "--format",
    "formats",
    default="keras",
    show_default=True,
    metavar="keras,savedmodel,onnx,litert",
    help="What is written; litert is two files, with weights of 32 and of 16 bits.",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder to be made; an earlier export there is replaced.",
)
@click.option(
    "--pictures",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="COUNT",
    help="Test pictures that each model is checked on.",
)
@options.dataset
@options.results
@options.common
def export_command(formats: str, as_json: bool, **arguments: Any) -> None:
    """One deployable model of a run: pixels to probabilities, with a script that predicts and a model card.

    Each model is run by its own runtime on test pictures; where one says something else than demijohn, nothing is
    written.
    """
    from ..deployment.exporting import export

    exported = export(formats=[name.strip() for name in formats.split(",")], **arguments)
    if as_json:
        print_json(exported.to_json())
        return
    rows = [
        [
            each["artefact"],
            each["runtime"],
            f"{each['same_class']:,} of {each['pictures']:,}",
            f"{each['greatest_difference']:.1e}",
            format_size(each["bytes"]),
        ]
        for each in exported.record["artefacts"]
    ]
    print_table(["file", "runtime", "same class", "difference", "size"], rows, numbers=["size"])
    click.echo(f"with predict.py and README.md in {exported.folder}")
