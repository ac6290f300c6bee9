"""What continuous integration expects of the best run: `test.accuracy >= 0.95`.

The grammar is small, so that nothing has to be evaluated: a name, an operator, a number. The name is
`flags`, or a split, a dot and a metric.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...cache.table import SPLITS
from ..errors import InvalidRequest
from ..statistics.evaluation import WITH_INTERVAL

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*(?P<name>[\w.]+)\s*(?P<sign>>=|<=|==|>|<)\s*(?P<number>\S+?)\s*(?P<percent>%?)\s*")
_ENDS = {"_low": 0, "_high": 1}
COUNTS = ("flags",)
METRICS = (
    "images",
    "calibration_error",
    *WITH_INTERVAL,
    *(f"{name}{end}" for name in WITH_INTERVAL for end in _ENDS),
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that is expected."""

    text: str
    """As it was given."""
    split: str | None
    """None where it is no metric of a run."""
    name: str
    sign: str
    number: float

    def judge(self, metrics: Mapping[str, Mapping[str, Any]], counts: Mapping[str, float], run: str) -> str | None:
        """Return why it does not hold, in a sentence; None where it does.

        Parameters
        ----------
        metrics : mapping
            Of the best run, by split.
        counts : mapping
            What is no metric.
        run : str
            Name of the best run.
        """
        value = counts.get(self.name) if self.split is None else _look_up(metrics[self.split], self.name)
        what = self.name if self.split is None else f"{self.split}.{self.name} of {run}"
        if value is None:
            return f"{what} is not known: expected {self.sign} {self.number:g}; bring pictures into the split"
        if _OPERATORS[self.sign](value, self.number):
            return None
        return f"{what} is {value:.6g}: expected {self.sign} {self.number:g}, missed by {abs(value - self.number):.4g}"


def read_expectation(text: str) -> Expectation:
    """Return what a text such as `test.accuracy >= 95%` expects.

    Raises
    ------
    InvalidRequest
        It is none.

    >>> read_expectation("test.accuracy >= 95%").number
    0.95
    """
    form = _FORM.fullmatch(text)
    found = None if form is None else _number(form["number"], percent=bool(form["percent"]))
    if form is None or found is None:
        raise InvalidRequest(
            f"{text!r} cannot be judged: expected SPLIT.METRIC, one of >= > <= < ==, and a number, such as "
            "'test.accuracy >= 0.95'"
        )
    name = form["name"]
    if name in COUNTS:
        return Expectation(text, None, name, form["sign"], found)
    split, _, metric = name.partition(".")
    if split not in SPLITS or metric not in METRICS:
        raise InvalidRequest(
            f"{text!r} names {name}: expected flags, or one of {', '.join(SPLITS)}, a dot, and one of "
            f"{', '.join(name for name in METRICS if not name.endswith(tuple(_ENDS)))} "
            "(with _low or _high for an end of its interval)"
        )
    return Expectation(text, split, metric, form["sign"], found)


def _number(text: str, *, percent: bool) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return value / 100 if percent else value


def _look_up(metrics: Mapping[str, Any], name: str) -> float | None:
    for end, at in _ENDS.items():
        if name.endswith(end):
            interval = metrics.get(f"{name.removesuffix(end)}_interval")
            return None if interval is None else float(interval[at])
    value = metrics.get(name)
    return None if value is None else float(value)
