"""The audit for the terminal: counts first, then what was found of each kind, then where the page is."""

from collections.abc import Sequence

import click

from ...cache.table import SPLITS
from ..auditing.findings import Audit, Duplicate, NearDuplicate
from ..auditing.page import group_skipped
from .terminal import print_table

_FILES = 4
"""How many files of one finding are named; --json names all."""


def print_audit(audit: Audit, *, top: int) -> None:
    """Print what an audit found, at most `top` of each kind."""
    _print_counts(audit)
    _print_files(audit)
    _print_list("under two labels", "pictures", [_same(each) for each in audit.conflicts], top)
    _print_list("exact copies across given splits", "pictures", [_same(each) for each in audit.leaks], top)
    apart = [each for each in audit.duplicates if each not in audit.conflicts and each not in audit.leaks]
    _print_list("other exact copies", "pictures", [_same(each) for each in apart], top)
    if audit.features is not None:
        across = [_pair(each) for each in audit.near_leaks]
        others = [_pair(each) for each in audit.near_duplicates if not each.across_splits]
        _print_list("near-duplicates across splits", "pairs", across, top)
        _print_list("other near-duplicates", "pairs", others, top)
        sure = len(audit.sure_errors)
        errors = [
            f"{'*' if each.confident else ' '} {each.row.path}: {each.row.label} {each.given_probability:.1%}, "
            f"rather {each.suggested} {each.suggested_probability:.1%}"
            for each in audit.label_errors
        ]
        _print_list("predicted otherwise", "pictures", errors, top, of_them=f"likely label errors (*): {sure:,}")
        far = [f"{each.row.path}: {each.row.label}, score {each.score:.1f}" for each in audit.outliers]
        _print_list("outliers of their class", "pictures", far, top)
    for reason, paths in group_skipped(audit).items():
        _print_list(f"skipped, {reason}", "files", paths, top)
    _print_shortcuts(audit)
    for note in (*audit.notes, *audit.dataset.notes):
        click.echo(f"note: {note}")
    click.echo(f"page with pictures: {audit.page}")


def _print_counts(audit: Audit) -> None:
    splits = [split for split in (*SPLITS, "") if any(split in counts for counts in audit.counts.values())]
    rows = [
        [label or "(no label)", *(f"{counts.get(split, 0):,}" for split in splits), f"{sum(counts.values()):,}"]
        for label, counts in audit.counts.items()
    ]
    columns = ["class", *(split or "no split" for split in splits), "all"]
    distinct = len({row.key for row in audit.dataset.rows})
    click.echo(f"{audit.dataset.name}: {len(audit.dataset.rows):,} images, {distinct:,} distinct")
    print_table(columns, rows, numbers=columns[1:])


def _print_files(audit: Audit) -> None:
    if not audit.facts:
        return
    ranges = audit.ranges
    rows = []
    for name, scale, form in (
        ("file_size", 1e-3, "{:,.1f} kB"),
        ("width", 1, "{:,.0f}"),
        ("height", 1, "{:,.0f}"),
        ("aspect", 1, "{:.2f}"),
        ("jpeg_quality", 1, "{:.0f}"),
    ):
        each = ranges[name]
        if each is not None:
            values = [form.format(scale * value) for value in (each.least, each.median, each.greatest)]
            rows.append([name.replace("_", " ").replace("jpeg", "JPEG"), *values])
    columns = ["of the files", "least", "median", "greatest"]
    print_table(columns, rows, numbers=columns[1:])
    click.echo("kinds: " + ", ".join(f"{kind} {count:,}" for kind, count in audit.kinds.items()))


def _print_list(what: str, unit: str, found: Sequence[str], top: int, *, of_them: str = "") -> None:
    one = {"pictures": "picture", "pairs": "pair", "files": "file"}[unit]
    more = f"; {of_them}" if found and of_them else ""
    click.echo(f"{what}: {len(found):,} {one if len(found) == 1 else unit}{more}")
    for line in found[:top]:
        click.echo(f"  {line}")
    if len(found) > top:
        click.echo(f"  and {len(found) - top:,} more (--top, --json)")


def _print_shortcuts(audit: Audit) -> None:
    shortcuts = audit.shortcuts
    if shortcuts is None or shortcuts.together.interval is None:
        return
    low, high = shortcuts.together.interval
    click.echo(
        f"shortcut probe: facts of the files alone tell {shortcuts.together.balanced_accuracy:.1%} "
        f"[{100 * low:.1f}, {100 * high:.1f}] right, guessing {shortcuts.chance:.1%}"
    )
    if shortcuts.warning:
        click.echo(f"warning: {shortcuts.warning}")


def _same(duplicate: Duplicate) -> str:
    shown = ", ".join(row.path for row in duplicate.rows[:_FILES])
    more = len(duplicate.rows) - _FILES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _pair(pair: NearDuplicate) -> str:
    facts = [f"cosine {pair.cosine:.3f}"]
    if pair.mirrored:
        facts.append("mirrored")
    if pair.two_labels:
        facts.append(f"labels {pair.first.label} and {pair.second.label}")
    if pair.across_splits:
        facts.append(f"{pair.first.split} and {pair.second.split}")
    return f"{pair.first.path}, {pair.second.path} ({', '.join(facts)})"
