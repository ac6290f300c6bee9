"""What the commands answer on stdout when a person asks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..units import format_size, format_time
from .terminal import print_caption, print_notes, print_table

if TYPE_CHECKING:
    from ...models.backbones.taps import Layer
    from ..checking import Guess
    from ..extraction.extraction import Extraction
    from ..reporting.report import Report
    from ..upkeep.exchange import Exchange
    from ..upkeep.holdings import Holding
    from ..upkeep.upkeep import Change, Pruned, Verified

_PATHS_PER_REASON = 5
_FLAGS_SHOWN = 6


def print_extractions(extractions: Sequence["Extraction"]) -> None:
    """Print what an extraction found and did, per feature set."""
    print_skipped(extractions[0])
    for extraction in extractions:
        speed, views = "", ""
        if extraction.images_per_second is not None:
            speed = f" at {extraction.images_per_second:,.0f} images/s once loaded"
        if extraction.views > 1:
            views = f", {extraction.view_rows_extracted:,} rows of {extraction.views - 1} more views extracted"
        click.echo(
            f"{extraction.images:,} images: {extraction.cached:,} cached, {extraction.extracted:,} extracted{views}"
            f"{speed}, {extraction.duplicates:,} duplicates, {len(extraction.skipped):,} skipped "
            f"({extraction.seconds:.1f} s in all)"
        )
        tap = f" ({extraction.label})" if extraction.label else ""
        where = extraction.features or "no file: no picture could be read"
        click.echo(f"{extraction.rows:,} x {extraction.width:,} features of {extraction.backbone}{tap} in {where}")


def print_layers(listed: Mapping[str, Sequence["Layer"]]) -> None:
    """Print the layers of some backbones."""
    for name, layers in listed.items():
        rows = [[layer.name, layer.kind, " x ".join(map(str, layer.shape))] for layer in layers]
        print_table([name, "kind", "shape"], rows, numbers=["shape"])


def print_skipped(extraction: "Extraction") -> None:
    """Print skipped files by reason; --json and refusals.csv list them all.

    Figures of one file, in brackets at the end of its reason, stand beside its path.
    """
    reasons: dict[str, list[str]] = {}
    for each in extraction.skipped:
        reason, bracket, figures = each.reason.partition(" (")
        reasons.setdefault(reason, []).append(each.path + bracket + figures)
    for reason, paths in reasons.items():
        shown = ", ".join(paths[:_PATHS_PER_REASON])
        more = f" and {len(paths) - _PATHS_PER_REASON:,} more" if len(paths) > _PATHS_PER_REASON else ""
        click.echo(f"skipped {len(paths):,}, {reason}: {shown}{more}")


def print_runs(records: Sequence[dict[str, Any]]) -> None:
    """Print the metrics of a run; of several, a line each, in the order in which they were trained."""
    from ..reporting.scoreboard import NUMBERS, SPARE, TRAINED, TRAINED_CAPTION, WHOLE, cells_of

    if len(records) == 1:
        _print_run(records[0])
        return
    rows = [cells_of(record) for record in records]
    print_table(TRAINED, rows, numbers=NUMBERS, whole=WHOLE, spare=[each for each in SPARE if each in TRAINED])
    print_caption(TRAINED_CAPTION)


def _print_run(record: dict[str, Any]) -> None:
    rows = []
    for split, metrics in record["metrics"].items():
        cells = [_interval(metrics, name) for name in ("accuracy", "macro_f1", "log_loss")]
        rows.append([split, f"{metrics['images']:,}", *cells])
    click.echo(record["run"])
    columns = ["split", "images", "accuracy", "macro F1", "log loss"]
    print_table(columns, rows, numbers=["images"], whole=columns)


def print_comparison(report: "Report") -> None:
    """Print the verdict of a report, its table, and what a person should look at."""
    # Here, since it loads HDF5, which `--help` has no need of.
    from ..assessment.gains import describe_gain
    from ..reporting.scoreboard import CAPTION, COLUMNS, NUMBERS, SPARE, WHOLE, tabulate

    told = report.to_json()
    board = tabulate(told)
    runs = "1 run" if len(report.runs) == 1 else f"{len(report.runs)} runs"
    # A column that says the same in every row is said once, above.
    backbones = {run["inputs"] for run in told["runs"]}
    told_once = len(backbones) == 1
    on = f" on {backbones.pop()}" if told_once else ""
    click.echo()
    print_notes([f"{report.dataset.name}{on}, {runs}. {'. '.join(report.verdict)}."])
    print_table(
        COLUMNS[told_once:],
        [row[told_once:] for row in board.runs],
        numbers=NUMBERS,
        whole=WHOLE,
        spare=SPARE,
        apart=[row[told_once:] for row in board.controls],
    )
    print_caption(CAPTION)
    notes = [f"! {flag.sentence}" for flag in report.flags[:_FLAGS_SHOWN]]
    if len(report.flags) > _FLAGS_SHOWN:
        notes.append(f"! and {len(report.flags) - _FLAGS_SHOWN} more: {report.folder / 'report.md'}")
    notes += [f"! left out: {each.reason}" for each in report.left_out]
    notes += [each["sentence"] for each in told["equivalence"][:_FLAGS_SHOWN]]
    notes += [each.sentence for each in report.seeds if report.runs[0].id in each.members]
    if report.measured is not None and report.measured.sentence is not None:
        notes.append(report.measured.sentence)
    if report.learning_curve is not None:
        points = ", ".join(f"{point.per_class:,}: {100 * point.accuracy:.1f}" for point in report.learning_curve.points)
        notes.append(f"accuracy on validation by pictures per class, {report.learning_curve.head}: {points}")
        notes.append(report.learning_curve.sentence)
    notes += [describe_gain(each) for each in told["views"]]
    notes += [f"{run['run']}: {run['worth']['sentence']}" for run in told["runs"] if run.get("worth")]
    if notes:
        click.echo()
        print_notes(notes)


def print_guesses(guesses: Sequence["Guess"]) -> None:
    """Print the ImageNet classes that a backbone sees."""
    print_table(["probability", "class"], [[f"{guess.probability:.3f}", guess.label] for guess in guesses])


def print_facts(facts: dict[str, Any]) -> None:
    """Print all about one backbone."""
    told = {**facts, "narrower_types": "\n".join(facts["narrower_types"]) or None}
    print_table(["fact", "value"], [[name.replace("_", " "), str(_dash(value))] for name, value in told.items()])


def print_backbones(catalogue: Sequence[dict[str, Any]]) -> None:
    """Print the catalogue of backbones."""
    columns = ["name", "MB", "top-1", "top-5", "parameters", "depth", "input", "width", "weights"]
    rows = [
        [
            facts["name"],
            f"{facts['megabytes']:g}",
            str(_dash(facts["top1"])),
            str(_dash(facts["top5"])),
            f"{facts['parameters_millions']} M",
            str(_dash(facts["depth"])),
            "x".join(map(str, facts["input_size"])),
            str(facts["width"]),
            _where(facts),
        ]
        for facts in catalogue
    ]
    print_table(columns, rows, numbers=columns[1:8])


def _where(facts: dict[str, Any]) -> str:
    if facts["weights_here"]:
        return "here"
    return f"with {facts['extra']}" if facts["extra"] and not facts["weights_url"] else "to be downloaded"


def print_heads(catalogue: Sequence[dict[str, Any]]) -> None:
    """Print the heads and their settings."""
    rows = [
        [
            facts["name"],
            facts["summary"],
            ", ".join(f"{name}={value}" for name, value in facts["settings"].items()),
        ]
        for facts in catalogue
    ]
    print_table(["name", "what it is", "settings"], rows)


def print_holdings(holdings: Sequence["Holding"], store: str) -> None:
    """Print what features a store holds."""
    if not holdings:
        click.echo(f"{store} holds no features")
        return
    rows = [
        [
            holding.backbone,
            holding.digest[:12],
            f"{holding.rows:,}",
            ", ".join(f"+{count} {names}" for names, count in holding.views.items()) or "-",
            f"{holding.width:,}",
            f"{holding.parts:,}",
            format_size(holding.bytes),
            format_time(holding.last_use) if holding.last_use else "-",
            holding.problem or "; ".join(holding.differences) or "-",
        ]
        for holding in holdings
    ]
    columns = ["backbone", "digest", "rows", "views", "width", "parts", "size", "last use", "differs in"]
    numbers = ["rows", "width", "parts", "size"]
    print_table(columns, rows, numbers=numbers, spare=["views", "width", "parts"])


def print_verified(verified: Sequence["Verified"]) -> None:
    """Print what was checked, and every damaged file with its reason."""
    for each in verified:
        found = each.verification
        state = "sound" if not found.damaged else f"{len(found.damaged):,} damaged"
        click.echo(
            f"{each.name}: {found.rows:,} rows, parts: {found.parts:,}, {format_size(found.bytes)} read, {state}"
        )
        for damage in found.damaged:
            # What mends it is told once, at the end.
            click.echo(f"  {damage.reason.partition(';')[0]}")
        if each.repaired:
            click.echo(f"  taken out of use; to make the missing rows anew, {each.mend}")


def print_changes(changes: Sequence["Change"], verb: str) -> None:
    """Print what a care of the store changed."""
    for change in changes:
        if not change.done:
            click.echo(f"{change.name}: left alone, another process is merging it; try again")
            continue
        rows = f", {change.rows:,} rows went" if change.rows else ""
        size = (
            f"{format_size(change.bytes)} freed"
            if change.bytes >= 0
            else f"{format_size(-change.bytes)} more for a day"
        )
        click.echo(f"{change.name}: {verb}{rows}, {size}")


def print_pruned(pruned: "Pruned") -> None:
    """Print what pruning changed."""
    print_changes(pruned.feature_sets, "pruned")
    if pruned.engines:
        click.echo(
            f"engines: {pruned.engines:,} went that no feature set is of, {format_size(pruned.engine_bytes)} freed"
        )


def print_exchange(exchange: "Exchange") -> None:
    """Print what was pushed or pulled."""
    verb = "sent" if exchange.direction == "push" else "installed"
    for each in exchange.feature_sets:
        click.echo(
            f"{each.name}: {each.rows:,} rows {verb} in {each.parts:,} parts, {format_size(each.bytes)}; "
            f"{each.there:,} rows were there"
        )
        for refused in each.refused:
            click.echo(f"  refused: {refused.reason}")
    told = {"moved": verb, "same": "the same on both sides", "kept": "differs, left as it is; --replace replaces it"}
    for name, outcome in exchange.datasets.items():
        click.echo(f"data set {name}: {told[outcome]}")
    if exchange.refusals:
        click.echo(f"pictures that cannot be read: {exchange.refusals:,} {verb}")


def _interval(metrics: dict[str, Any], name: str) -> str:
    if metrics[name] is None:
        return "-"
    if metrics[f"{name}_interval"] is None:
        # A single picture says nothing of how a loss varies.
        return f"{metrics[name]:.4f}"
    low, high = metrics[f"{name}_interval"]
    return f"{metrics[name]:.4f} [{low:.4f}, {high:.4f}]"


def _dash(value: Any) -> Any:
    return "-" if value is None else value
