"""Tables and notes on stdout, fitted to the terminal; a pipe or a file has no width, and nothing is wrapped there."""

import sys
from collections.abc import Sequence
from typing import Any

import click

_READABLE = 116
"""Columns of a line of text, however wide the terminal."""
_LONG = 30
"""A word that is longer is folded."""


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    whole: Sequence[str] = (),
    spare: Sequence[str] = (),
    apart: Sequence[Sequence[str]] = (),
) -> None:
    """Print a table on stdout.

    Parameters
    ----------
    numbers : sequence of str
        Columns that are aligned to the right.
    whole : sequence of str
        Columns whose cells are not broken over lines; nor are numbers.
    spare : sequence of str
        Columns that are left out where the terminal is too narrow, the last one first.
    apart : sequence of sequence of str
        Rows that stand below a line.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    unbroken = {*numbers, *whole}
    least = {
        column: _least_width([column, *(row[place] for row in (*rows, *apart))], unbroken=column in unbroken)
        for place, column in enumerate(columns)
    }
    shown, missing = list(columns), list(spare)
    while missing and sum(least[column] + 2 for column in shown) > console.width:
        shown.remove(missing.pop())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    for column in shown:
        justify: Any = "right" if column in numbers else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column in unbroken, min_width=least[column])
    places = [columns.index(column) for column in shown]
    for row in rows:
        table.add_row(*(Text(row[place]) for place in places))
    if apart:
        table.add_section()
        for row in apart:
            table.add_row(*(Text(row[place]) for place in places), style="dim")
    console.print(table)
    if len(shown) < len(columns):
        left_out = ", ".join(column for column in columns if column not in shown)
        print_notes([f"Left out, since the terminal is too narrow: {left_out}."])


def _least_width(cells: Sequence[str], *, unbroken: bool) -> int:
    """Return the width that cells need at least, by their longest word, or wholly."""
    from rich.cells import cell_len

    if unbroken:
        return max(map(cell_len, cells))
    return min(_LONG, max(cell_len(word) for cell in cells for word in cell.split() or [""]))


def print_notes(notes: Sequence[str]) -> None:
    """Print sentences, a line each; in a terminal they are wrapped."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100_000)
    for note in notes:
        console.print(Text(note), width=min(console.width, _READABLE) if sys.stdout.isatty() else None)


def print_caption(caption: str) -> None:
    """Print what stands below a table, in lines that fit the terminal."""
    if sys.stdout.isatty():
        print_notes([caption.replace("\n", " ")])
    else:
        click.echo(caption)
