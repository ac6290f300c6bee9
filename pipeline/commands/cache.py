"""`demijohn cache ...`: care of what is kept; each command is a thin shell over `upkeep`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..progress import Progress
from . import answers, options
from .console import print_json


@click.group("cache", short_help="Look after the features that are kept.")
def cache() -> None:
    """Care of the features that are kept: list, verify, compact, prune, remove, export; push and pull share them."""


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Add --backbone and --features, which choose feature sets; all of them without."""
    backbone = click.option(
        "--backbone", metavar="NAME", callback=options.stored, help="Only the features of this backbone."
    )
    features = click.option("--features", metavar="DIGEST", help="Only the feature set whose digest begins so.")
    return backbone(features(command))


@cache.command("list", short_help="List what is kept: rows, size, last use.")
@options.common
def list_command(store: str, as_json: bool, progress: Progress) -> None:  # noqa: ARG001
    """What features are kept: rows, size, last use, and in what their recipes differ."""
    from ..upkeep.holdings import list_features

    holdings = list_features(store=store)
    if as_json:
        print_json({"feature_sets": [holding.to_json() for holding in holdings]})
    else:
        answers.print_holdings(holdings, store)


@cache.command("verify")
@_choosing
@click.option("--repair", is_flag=True, help="Take damaged parts out of use; the next extraction makes their rows.")
@click.option(
    "--recompute",
    type=click.IntRange(1),
    metavar="K",
    help="Also make K random rows of each set again, and compare.",
)
@click.option("--seed", type=options.SEEDS, default=0, show_default=True, help="Of the choice of rows.")
@options.common
def verify_command(as_json: bool, repair: bool, recompute: int | None, seed: int, **arguments: Any) -> None:
    """Read every row and check it against its checksum."""
    from ..upkeep.upkeep import check_verified, verify_cache

    verified = verify_cache(repair=repair, **arguments)
    recomputed = []
    if recompute is not None and not any(each.verification.damaged for each in verified):
        from ..upkeep.recomputation import recompute_rows

        recomputed = recompute_rows(recompute, seed=seed, **arguments)
    if as_json:
        answer = {"feature_sets": [each.to_json() for each in verified]}
        print_json({**answer, "recomputed": [each.to_json() for each in recomputed]})
    else:
        answers.print_verified(verified)
        for each in recomputed:
            click.echo(str(each))
    check_verified(verified)


@cache.command("compact")
@_choosing
@options.common
def compact_command(as_json: bool, **arguments: Any) -> None:
    """Merge the parts of each feature set into few large ones."""
    from ..upkeep.upkeep import compact_cache

    _print_changes(compact_cache(**arguments), "merged", as_json=as_json)


@cache.command("prune", short_help="Remove what no data set needs.")
@_choosing
@options.common
def prune_command(as_json: bool, **arguments: Any) -> None:
    """Remove what no data set needs: rows, superseded and damaged parts, leftovers, engines."""
    from ..upkeep.upkeep import prune_cache

    pruned = prune_cache(**arguments)
    if as_json:
        print_json(pruned.to_json())
    else:
        answers.print_pruned(pruned)


@cache.command("remove", short_help="Remove whole feature sets, with all their views.")
@_choosing
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.common
def remove_command(
    store: str,
    backbone: str | None,
    features: str | None,
    yes: bool,
    as_json: bool,
    progress: Progress,  # noqa: ARG001
) -> None:
    """Remove whole feature sets with all their views, chosen by --backbone or --features."""
    from ...cache.store import FeatureStore
    from ..upkeep.holdings import choose_families
    from ..upkeep.upkeep import remove_features

    if (backbone or features) and not yes:
        names = ", ".join(choose_families(FeatureStore(store), backbone, features))
        if not sys.stdin.isatty():
            raise click.UsageError(f"this would remove {names}: give --yes where nobody can be asked")
        click.confirm(f"Remove {names}?", abort=True, err=True)
    _print_changes(remove_features(store=store, backbone=backbone, features=features), "removed", as_json=as_json)


@cache.command("export", short_help="Write features and all about them into one file.")
@click.option(
    "--to", type=click.Path(path_type=Path), required=True, metavar="FILE.h5|.npz", help="The file to be written."
)
@options.dataset
@options.chosen_backbone
@options.chosen_features
@options.common
def export_command(to: Path, as_json: bool, progress: Progress, **arguments: Any) -> None:  # noqa: ARG001
    """Write features, keys, paths, labels and splits into one file, for other tools."""
    from ..upkeep.upkeep import export_cache

    exported = export_cache(to, **arguments)
    if as_json:
        print_json(
            {"path": str(exported.path), "rows": exported.rows, "width": exported.width, "bytes": exported.bytes}
        )
    else:
        click.echo(f"{exported.rows:,} x {exported.width:,} features in {exported.path}")


def _exchanging(command: Callable[..., None]) -> Callable[..., None]:
    """Add what `push` and `pull` take."""
    url = click.argument("url", metavar="URL")
    table = click.option("--dataset", metavar="NAME", help="Only the table of this data set. [all]")
    replace = click.option("--replace", is_flag=True, help="Replace tables of data sets that differ.")
    return url(_choosing(table(replace(options.common(command)))))


@cache.command("push", short_help="Send what a cache at URL lacks.")
@_exchanging
def push_command(**arguments: Any) -> None:
    """Send what a cache at URL lacks: features, tables of data sets, refusals.

    URL is a folder that fsspec can write, as s3://bucket/cache.
    """
    from ..upkeep.exchange import push_cache

    _exchange(push_cache, **arguments)


@cache.command("pull", short_help="Fetch what the store lacks of a cache at URL.")
@_exchanging
def pull_command(**arguments: Any) -> None:
    """Fetch what the store lacks of a cache at URL: features, tables of data sets, refusals.

    Every row is checked before it is installed.
    """
    from ..upkeep.exchange import pull_cache

    _exchange(pull_cache, **arguments)


def _exchange(move: Callable[..., Any], *, as_json: bool, **arguments: Any) -> None:
    done = move(**arguments)
    if as_json:
        print_json(done.to_json())
    else:
        answers.print_exchange(done)
    done.check()


def _print_changes(changes: list[Any], verb: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"feature_sets": [change.to_json() for change in changes]})
    else:
        answers.print_changes(changes, verb)
