"""Pictures for the report, drawn by matplotlib without a screen."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MANY_CLASSES = 25


def draw_curves(path: Path, history: Mapping[str, Sequence[float]], title: str) -> None:
    """Draw loss and accuracy of both splits per epoch into a PNG file.

    Parameters
    ----------
    path : Path
    history : mapping of column to values
        `epoch`, `loss`, `accuracy`, and `val_loss`, `val_accuracy` where there is validation.
    title : str
    """
    figure = _figure(9, 3.4)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column, label, colour in ((name, "train", "#4477aa"), (f"val_{name}", "validation", "#ee6677")):
            if column in history:
                axes.plot(history["epoch"], history[column], label=label, color=colour)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(_plain(title), fontsize=10)
    _save(figure, path)


def draw_confusion(path: Path, counts: NDArray[np.int64], classes: Sequence[str], title: str) -> None:
    """Draw a confusion matrix into a PNG file: a row per true class, in shares of that row.

    Parameters
    ----------
    path : Path
    counts : ndarray of shape (c, c), int64
        Row is the true class, column the predicted one.
    classes : sequence of str, length c
    title : str
    """
    many = len(classes) > _MANY_CLASSES
    side = 7.5 if many else 2.2 + 0.42 * len(classes)
    figure = _figure(side + 0.8, side)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if not many:
        names = [_plain(name if len(name) <= 18 else f"{name[:17]}…") for name in classes]
        axes.set_xticks(range(len(classes)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(classes)), names)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.set_title(_plain(title), fontsize=10)
    _save(figure, path)


def draw_grid(
    path: Path, pictures: Sequence[NDArray[np.uint8]], titles: Sequence[str], doubtful: Sequence[bool]
) -> None:
    """Draw pictures in a grid into a PNG file, each below its title.

    Parameters
    ----------
    path : Path
    pictures : sequence of ndarrays of shape (h, w, 3), uint8
    titles : sequence of str
    doubtful : sequence of bool
        Whose titles stand out.
    """
    columns = min(5, max(1, math.ceil(math.sqrt(len(pictures)))))
    rows = max(1, math.ceil(len(pictures) / columns))
    figure = _figure(2.2 * columns, 2.5 * rows)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, pixels, title, doubt in zip(figure.axes, pictures, titles, doubtful, strict=False):
        axes.imshow(pixels)
        axes.set_title(_plain(title), fontsize=10, color="#aa3377" if doubt else "black")
    _save(figure, path)


def _figure(width: float, height: float) -> Any:
    # The object interface: no global state, no window system, no pyplot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(text: str) -> str:
    """Return text in which matplotlib sees no formula, and no bytes that are no text."""
    return text.encode("utf-8", "replace").decode().replace("$", r"\$")


def _save(figure: Any, path: Path) -> None:
    with warnings.catch_warnings():
        # A class name may use letters that no font here has: boxes are drawn for them.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(path, dpi=130, format="png")
