"""The options that say how labels, groups and splits are found; they reach a command as one `Labelling`."""

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from ..datasets.labelling import Labelling, parse_shares
from ..errors import InvalidRequest

_OPTIONS = (
    click.option("--label-level", type=click.IntRange(1), metavar="N", help="The label is the N-th folder. [1]"),
    click.option(
        "--label-pattern",
        metavar="REGEX",
        help="The label is in the file's name: the one group of this, or the one called label. [none]",
    ),
    click.option("--split", "shares", metavar="SHARES", help="Train/validation/test in percent. [70/15/15]"),
    click.option(
        "--group",
        metavar="COLUMN",
        help="Pictures with the same word in this column of the table stay in one split. [group, if there is one]",
    ),
    click.option(
        "--group-pattern",
        metavar="REGEX",
        help="Pictures with the same group (a patient, a film) in their path stay in one split. [none]",
    ),
    click.option(
        "--limit",
        type=click.IntRange(0),
        metavar="N",
        help="Take a sample of N pictures, with the shares of the classes as they are. [0, all]",
    ),
)


def labelling_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options, and hand them to the command as `labelling`; the data set remembers them."""

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        asked = {field.name: arguments.pop(field.name) for field in fields(Labelling)}
        try:
            if asked["shares"] is not None:
                asked["shares"] = parse_shares(asked["shares"])
            labelling = Labelling(**asked)
        except InvalidRequest as error:
            raise click.UsageError(str(error)) from error
        command(labelling=labelling, **arguments)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
