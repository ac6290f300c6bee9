"""What an extraction is asked for, besides the pictures: every choice, what is usual, and what is possible."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from ...models.backbones.resolving import found_again
from ...models.errors import UnsuitableSetting
from ..datasets.labelling import Labelling
from ..errors import InvalidRequest
from ..pictures.augmentation import STANDARD
from ..pictures.images import DEFAULT_POLICY, ReadingPolicy
from ..progress import SILENT, Progress

Precision = Literal["float32", "bfloat16", "float16", "auto"]
ViewsFor = Literal["train", "all"]


class Request(TypedDict, total=False):
    """What an extraction is asked for, besides the pictures; see `extract_feature_sets` for each."""

    backbones: Sequence[str]
    weights: str
    layers: Sequence[str]
    pooling: str
    precision: Precision
    engine: str | None
    batch_size: int | None
    device: str
    input_size: tuple[int, int] | None
    preprocessing: str | None
    views: int
    augment: str
    views_for: ViewsFor
    store: str | Path
    dataset: str | None
    seed: int | None
    labelling: Labelling | None
    reading: ReadingPolicy
    resize: str | None
    retry: bool
    workers: int | Literal["auto"] | None
    cluster: str | None
    backend: Any
    progress: Progress


USUAL: Request = {
    "backbones": ("efficientnet-lite0",),
    "weights": "imagenet",
    "layers": ("last",),
    "pooling": "avg",
    "precision": "float32",
    "engine": None,
    "batch_size": None,
    "device": "auto",
    "input_size": None,
    "preprocessing": None,
    "views": 1,
    "augment": STANDARD,
    "views_for": "train",
    "store": "bottlenecks",
    "dataset": None,
    "seed": None,
    "labelling": None,
    "reading": DEFAULT_POLICY,
    "resize": None,
    "retry": False,
    "workers": None,
    "cluster": None,
    "backend": None,
    "progress": SILENT,
}
_OPTIONS = (
    "weights",
    "pooling",
    "precision",
    "input_size",
    "preprocessing",
    "views",
    "augment",
    "views_for",
    "resize",
)
"""What of a request is an option of the same name that decides which features are made."""


def complete(request: Request) -> Request:
    """Return a request with what is usual in place of what is left out, and files by their whole paths.

    Raises
    ------
    TypeError
        Something is asked for that no extraction knows.
    InvalidRequest, UnsuitableSetting
        A value is not possible.
    """
    if unknown := sorted(set(request) - set(USUAL)):
        raise TypeError(f"an extraction takes no {', '.join(unknown)}: expected some of {', '.join(USUAL)}")
    asked: Request = {**USUAL, **request}
    for name in ("backbones", "layers"):
        if isinstance(asked[name], str) or not asked[name]:
            raise InvalidRequest(f"{name} is {asked[name]!r}: expected a sequence of names, such as ('name',)")
    if asked["precision"] not in get_args(Precision):
        raise UnsuitableSetting(
            f"cannot compute in {asked['precision']!r}: expected one of {', '.join(get_args(Precision))}"
        )
    if asked["views"] < 1:
        raise InvalidRequest(f"cannot make {asked['views']} views: expected 1, the picture itself, or more")
    if asked["views_for"] not in get_args(ViewsFor):
        raise InvalidRequest(f"views can be had for {' or '.join(get_args(ViewsFor))}, found {asked['views_for']!r}")
    asked["weights"] = _whole(asked["weights"])
    if any(asked[name] is not None for name in ("workers", "cluster", "backend")):
        # Workers have working folders of their own.
        asked["store"] = Path(asked["store"]).expanduser().absolute()
    asked["backbones"] = tuple(dict.fromkeys(found_again(str(name)) for name in asked["backbones"]))
    return asked


def options_of(request: Request) -> list[str]:
    """Return the options of `extract-features` that ask for the same features, as far as they are not what is usual.

    Backbone and store are left out.
    """
    options: list[str] = []
    for name in _OPTIONS:
        value = request[name]  # type: ignore[literal-required]
        if value != USUAL[name]:  # type: ignore[literal-required]
            text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
            options += [f"--{name.replace('_', '-')}", text]
    if tuple(request["layers"]) != USUAL["layers"]:
        options += [word for layer in request["layers"] for word in ("--layer", layer)]
    if request["reading"].truncated != DEFAULT_POLICY.truncated:
        options += ["--truncated", "accept"]
    return options


def _whole(weights: str) -> str:
    """Return a weights file by its whole path, and what names no file as it is."""
    if weights.partition(":")[0] not in ("imagenet", "random"):
        # What cannot be looked at is told where weights are located.
        with contextlib.suppress(OSError, RuntimeError):
            path = Path(weights).expanduser()
            return str(path.resolve()) if path.is_file() else weights
    return weights
