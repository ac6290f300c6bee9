"""`demijohn predict`: a thin shell over `predict`, and the two forms in which predictions are written."""

import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ..progress import SILENT, Progress
from ..progress import Counter as Counting
from . import options
from .console import print_json

if TYPE_CHECKING:
    from ..deployment.prediction import Prediction, PredictionStream

_JSON_LINES = (".jsonl", ".ndjson")
_CSV = ".csv"


def _out(_context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Return a file for predictions; its suffix says in which form."""
    if path is not None and path.suffix.lower() not in (_CSV, *_JSON_LINES):
        raise click.BadParameter(f"expected a name that ends in {_CSV} or {_JSON_LINES[0]}, found {path}", param=option)
    return path


def _png(_context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".png":
        raise click.BadParameter(f"expected a name that ends in .png, found {path}", param=option)
    return path


@click.command("predict", short_help="Tell the class of pictures, with its probability.")
@click.argument("images", nargs=-1, required=True)
@options.chosen_run
@options.dataset
@click.option(
    "--top", type=click.IntRange(1), default=1, show_default=True, metavar="COUNT", help="Most probable classes."
)
@click.option(
    "--reject-below", type=options.probability, metavar="0.8", help="No class where it is less probable than this."
)
@click.option(
    "--precision",
    type=options.probability,
    metavar="0.99",
    help="No class below the probability from which so great a share of validation is right.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=_out,
    metavar="FILE.csv|.jsonl",
    help="Where predictions are written. [stdout]",
)
@click.option(
    "--grid",
    type=click.Path(path_type=Path),
    callback=_png,
    metavar="FILE.png",
    help="Draw some of the pictures, at most 25, with their predicted classes.",
)
@options.max_pixels
@options.results
@options.streaming
def predict_command(
    images: tuple[str, ...],
    out: Path | None,
    grid: Path | None,
    as_json: bool,
    progress: Progress,
    **arguments: Any,
) -> None:
    """What a trained run says of pictures: class and calibrated probability of each.

    IMAGES are files, folders, .csv tables with a column path, .txt lists with a path a line, or - for such a list on
    standard input. Writes CSV to stdout; with --json a JSON object a line; with --out to a file, and --json then prints
    one object that sums it up. Features of the pictures are kept in the store.
    """
    from ..deployment.picture_grid import GridSample, draw_predictions
    from ..deployment.prediction import predict
    from ..errors import TooManyUnreadable

    started = time.monotonic()
    stream = predict(images, progress=progress, **arguments)
    sample, counted = GridSample(), _Counted()
    # Rows on a terminal are progress enough.
    show = progress if out is not None or not sys.stdout.isatty() else SILENT
    with show.count(stream.images, cached=0) as count:
        passing = sample.watch(counted.watch(stream, count))
        if out is None:
            _write(passing, sys.stdout, top=stream.top, as_json=as_json)
        else:
            with _writing(out) as file:
                _write(passing, file, top=stream.top, as_json=out.suffix.lower() in _JSON_LINES)
    drawn = None if grid is None else draw_predictions(grid, sample.predictions, *stream.classifier.seen)
    seconds = round(time.monotonic() - started, 3)
    if out is not None and as_json:
        print_json({**_sum_up(stream, counted), "out": str(out), "grid": grid and str(grid), "seconds": seconds})
    where = f" in {out}" if out is not None else ""
    told = f"{_pictures(stream.images)}{where}: {counted} ({seconds:.1f} s)"
    if out is not None and not as_json:
        click.echo(told)
    else:
        progress.say(told)
    if counted.learned:
        progress.say(
            f"{counted.learned:,} of them are training or validation pictures of this run: how many it has right there "
            "does not tell how good it is"
        )
    if drawn is not None:
        progress.say(f"{drawn} of them are drawn in {grid}")
    if counted.unreadable == stream.images:
        raise TooManyUnreadable(f"no picture could be read ({counted.first}): expected at least one")


def _sum_up(stream: "PredictionStream", counted: "_Counted") -> dict[str, Any]:
    return {
        "run": stream.classifier.run.id,
        "images": stream.images,
        "predicted": counted.predicted,
        "rejected": counted.rejected,
        "unreadable": counted.unreadable,
        "learned": counted.learned,
        "classes": {str(label): counted.classes[label] for label in stream.classifier.classes_},
        "temperature": stream.classifier.temperature,
        "threshold": stream.threshold.to_json() if stream.threshold else None,
    }


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count:,} pictures"


class _Counted:
    """How many predictions of each kind have passed."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.rejected = self.unreadable = self.learned = 0
        self.first = ""

    @property
    def predicted(self) -> int:
        return self.classes.total()

    def watch(self, predictions: Iterable["Prediction"], count: Counting) -> Iterator["Prediction"]:
        """Pass predictions on."""
        for each in predictions:
            if each.label is not None:
                self.classes[each.label] += 1
            elif each.rejected:
                self.rejected += 1
            else:
                self.first = self.first or f"{each.path}: {each.reason}"
                self.unreadable += 1
            self.learned += each.learned
            count(extracted=int(each.probability is not None), skipped=int(each.probability is None))
            yield each

    def __str__(self) -> str:
        told = [f"{self.predicted:,} predicted"]
        told += [f"{self.rejected:,} rejected"] * bool(self.rejected)
        told += [f"{self.unreadable:,} unreadable"] * bool(self.unreadable)
        return ", ".join(told)


@contextmanager
def _writing(path: Path) -> Iterator[TextIO]:
    """Give a file that gets its name when it is complete."""
    from ...cache.files import replacing

    # surrogateescape keeps names that are no UTF-8.
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="surrogateescape") as file:
        yield file


def _write(predictions: Iterable["Prediction"], file: TextIO, *, top: int, as_json: bool) -> None:
    if as_json:
        for each in predictions:
            file.write(json.dumps(each.to_json(), allow_nan=False) + "\n")
        return
    writer = csv.writer(file, lineterminator="\n")
    places = range(1, top + 1) if top > 1 else range(0)
    numbered = [name for place in places for name in (f"class_{place}", f"probability_{place}")]
    writer.writerow(["path", "class", "probability", "reason", *numbered])
    for each in predictions:
        cells = [each.path, each.label or "", _cell(each.probability), each.reason or ""]
        if numbered:
            cells += [cell for label, probability in each.top for cell in (label, _cell(probability))]
            cells += [""] * (4 + len(numbered) - len(cells))
        writer.writerow(cells)


def _cell(probability: float | None) -> str:
    from ..deployment.prediction import DIGITS

    return "" if probability is None else f"{probability:.{DIGITS}f}"
