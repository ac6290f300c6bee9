"""The options that commands share, and the kinds of values that they take."""

import functools
import math
from collections.abc import Callable
from typing import Any

import click

from ..memory import parse_size
from ..progress import Progress, Silent

DEFAULT_BACKBONE = "efficientnet-lite0"
SEEDS = click.IntRange(0, 2**32 - 1)
_WIDEST = 65_536
_LARGEST = 4096


def percentage(text: str) -> float:
    """Return a share from text such as 0.5%."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not text.endswith("%") or not 0 <= number <= 100:
        raise click.BadParameter(f"expected a percentage such as 0.5%, found {text}")
    return number / 100


def _number(expected: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """Return what reads a number that fits; NaN fits nowhere."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise click.BadParameter(f"expected {expected}, found {text}")
        return value

    return number


positive = _number("a number above 0", lambda value: 0 < value < math.inf)
share = _number("a share from 0 to below 1", lambda value: 0 <= value < 1)
probability = _number("a number from 0 to 1", lambda value: 0 <= value <= 1)


def widths(text: str) -> tuple[int, ...]:
    """Return widths from text such as 256,128, or none."""
    words = [] if text == "none" else [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 0 < int(word) <= _WIDEST for word in words):
        raise click.BadParameter(f"expected widths such as 256,128, or none, found {text}")
    return tuple(int(word) for word in words)


def memory(text: str) -> int:
    """Return bytes from text such as 4G or 500M."""
    found = parse_size(text)
    if found is None:
        raise click.BadParameter(f"expected a size such as 4G or 500M, found {text}")
    return found


def common(command: Callable[..., None], *, printed: str = "one JSON object") -> Callable[..., None]:
    """Add what every command takes: --store, --json, --quiet."""

    @click.option(
        "--store",
        default="bottlenecks",
        show_default=True,
        metavar="DIR",
        help="Folder that keeps everything.",
    )
    @click.option("--json", "as_json", is_flag=True, help=f"Print {printed} on stdout, nothing else there.")
    @click.option("--quiet", is_flag=True, help="No progress and no messages, the answer alone.")
    @functools.wraps(command)
    def wrapped(*, quiet: bool, **arguments: Any) -> None:
        command(progress=_progress(quiet=quiet), **arguments)

    return wrapped


streaming = functools.partial(common, printed="a JSON object a line")


def _progress(*, quiet: bool) -> Progress:
    if quiet:
        return Silent()
    from .console import Terminal

    return Terminal()


max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=120_000_000,
    show_default=True,
    metavar="COUNT",
    help="Refuse larger pictures before they are decoded.",
)


def reading(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every command that reads pictures takes: --resize, --truncated, --max-pixels, --retry."""

    @click.option(
        "--resize",
        type=click.Choice(["squash", "crop", "pad"]),
        help="Both sides, the centre, or the whole with gray beside it. [the backbone's own]",
    )
    @click.option(
        "--truncated",
        type=click.Choice(["refuse", "accept"]),
        default="refuse",
        show_default=True,
        help="What is done with JPEG files that end too early.",
    )
    @max_pixels
    @click.option("--retry", is_flag=True, help="Try again what was refused before.")
    @functools.wraps(command)
    def wrapped(*, truncated: Any, max_pixels: int, **arguments: Any) -> None:
        from ..pictures.images import ReadingPolicy

        command(reading=ReadingPolicy(truncated, max_pixels), **arguments)

    return wrapped


weights = click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    metavar="imagenet|random|FILE",
    help="ImageNet weights, random ones for trials (random:SEED), or a file.",
)


def size(text: str) -> tuple[int, int]:
    """Return height and width from text such as 260 or 240x320."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) <= _LARGEST for side in sides):
        raise click.BadParameter(f"expected pixels such as 260, or height and width such as 240x320, found {text}")
    return int(sides[0]), int(sides[-1])


def featuring(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every command takes that makes features: backbones, weights, and how pictures become vectors."""

    @click.option(
        "--backbone",
        "backbones",
        multiple=True,
        default=[DEFAULT_BACKBONE],
        show_default=True,
        metavar="NAME|FILE|hub:PRESET",
        help="See: demijohn backbones; or your own .keras file, or a preset. May be given several times.",
    )
    @weights
    @click.option(
        "--layer",
        "layers",
        multiple=True,
        default=["last"],
        show_default=True,
        metavar="NAME|list",
        help="Where the network is tapped. May be given several times; one pass serves all.",
    )
    @click.option(
        "--pooling",
        type=click.Choice(["avg", "max", "avg+max", "none"]),
        default="avg",
        show_default=True,
        help="How a map becomes a vector; none keeps the whole map.",
    )
    @click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16", "float16", "auto"]),
        default="float32",
        show_default=True,
        help="What the network computes in; auto is a narrower type where that is known to lose nothing.",
    )
    @click.option(
        "--engine",
        type=click.Choice(["tensorflow", "openvino"]),
        help="What runs the network. [as the features were begun, else the faster one here]",
    )
    @click.option(
        "--batch-size",
        type=click.IntRange(1, 4096),
        metavar="COUNT",
        help="Pictures computed together. [as the features were begun, else the engine's own]",
    )
    @click.option(
        "--device", default="auto", show_default=True, metavar="auto|cpu|gpu|gpu:1", help="What the network runs on."
    )
    @click.option(
        "--preprocessing",
        type=click.Choice(["symmetric", "caffe", "torch", "unit", "inside"]),
        help="Of your own model only; all others bring theirs.",
    )
    @click.option("--input-size", type=size, metavar="SIDE|HxW", help="Pixels seen. [the backbone's own]")
    @click.option(
        "--views",
        type=click.IntRange(1, 1000),
        default=1,
        show_default=True,
        metavar="COUNT",
        help="Versions of each training picture: itself, and augmented ones.",
    )
    @click.option(
        "--augment",
        default="standard",
        show_default=True,
        metavar="flip,crop,...",
        help="How further views differ: some of flip, crop, colour, rotation; standard is all.",
    )
    @click.option(
        "--views-for",
        type=click.Choice(["train", "all"]),
        default="train",
        show_default=True,
        help="Which pictures get further views; train-head --tta needs all.",
    )
    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        command(**arguments)

    return wrapped


def worker_count(text: str) -> int | str:
    """Return a number of workers, or auto."""
    if text != "auto" and not (text.isdecimal() and int(text) > 0):
        raise click.BadParameter(f"expected a number above 0, or auto, found {text}")
    return text if text == "auto" else int(text)


def sharing(command: Callable[..., None]) -> Callable[..., None]:
    """Add what shares the work among processes and machines: --workers, --cluster."""

    @click.option(
        "--workers",
        type=worker_count,
        metavar="COUNT|auto",
        help="Processes of this machine; auto is one per GPU, or one for all cores. [this one alone]",
    )
    @click.option(
        "--cluster", metavar="dask://HOST:PORT", help="Workers of a Dask cluster that see the same pictures and store."
    )
    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        command(**arguments)

    return wrapped


def expectation(text: str) -> str:
    """Return text such as `test.accuracy >= 0.95`, if it can be judged."""
    from ..assessment.expectations import read_expectation
    from ..errors import InvalidRequest

    try:
        read_expectation(text)
    except InvalidRequest as error:
        raise click.BadParameter(str(error)) from error
    return text


def comparing(command: Callable[..., None]) -> Callable[..., None]:
    """Add which runs are compared, how, and what is expected of the best."""

    @click.option(
        "--runs", multiple=True, metavar="NAME", help="Only these; * stands for anything. May be given several times."
    )
    @click.option("--backbone", metavar="NAME", callback=stored, help="Only runs on features of this backbone.")
    @click.option(
        "--split", type=click.Choice(["validation", "test"]), help="Whose pictures judge. [test where it has any]"
    )
    @click.option(
        "--equivalence",
        type=positive,
        metavar="POINTS",
        help="Say of each cheaper run whether it is as good as the best but for so many points.",
    )
    @click.option(
        "--assert",
        "expect",
        multiple=True,
        type=expectation,
        metavar="TEXT",
        help="Such as 'test.accuracy >= 0.95', of the best run. May be given several times.",
    )
    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        command(**arguments)

    return wrapped


dataset = click.option("--dataset", metavar="NAME", help="Name of the data set, where the store holds several.")
chosen_run = click.option(
    "--run", default="best", show_default=True, metavar="ID|best", help="Which run, by its id or the beginning of it."
)
split_seed = click.option("--seed", type=SEEDS, help="Of every random choice. [the one that the data set has, or 0]")
max_bad = click.option(
    "--max-bad",
    type=percentage,
    metavar="PERCENT",
    default="100%",
    show_default=True,
    help="Exit with status 1 where more pictures than this could not be read; the others are kept.",
)


def stored(_context: click.Context, _option: click.Parameter, names: str | None) -> str | None:
    """Return the names under which the store keeps features of backbones, in whatever spelling they are given."""
    if names is None:
        return None
    from ...models.backbones.resolving import stored_name

    whole = stored_name(names)
    # A file's name may have a plus sign in it.
    return "+".join(map(stored_name, names.split("+"))) if whole == names else whole


results = click.option(
    "--results", metavar="DIR", help="Folder for runs and the report, where the store is read-only. [the store]"
)
chosen_backbone = click.option(
    "--backbone", metavar="NAME", callback=stored, help="Whose features, where the store holds several."
)
joined_backbones = click.option(
    "--backbone",
    metavar="NAME|A+B",
    callback=stored,
    help="Whose features, where the store holds several; a+b joins them side by side.",
)
chosen_features = click.option(
    "--features", metavar="DIGEST", help="Which feature set, by the first digits of its digest."
)
