"""The audit as one HTML page: pictures within it, nothing fetched, names shown as what they are."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from ...cache.table import SPLITS, Row
from ..pictures.thumbnails import as_address, read_thumbnails
from .findings import Audit

TEMPLATE = "page.html.jinja"


def render_page(audit: Audit, *, top: int) -> str:
    """Return the page.

    Parameters
    ----------
    audit : Audit
    top : int
        How many findings of each kind it shows, each with its pictures.
    """
    conflicts, leaks, duplicates = audit.conflicts[:top], audit.leaks[:top], audit.duplicates[:top]
    near_duplicates = audit.near_duplicates[:top]
    label_errors, outliers = audit.label_errors[:top], audit.outliers[:top]
    rows: list[Row] = [each.rows[0] for each in (*conflicts, *leaks, *duplicates)]
    rows += [row for pair in near_duplicates for row in (pair.first, pair.second)]
    rows += [*(each.row for each in label_errors), *(each.row for each in outliers)]
    facts = {row.path: audit.facts[row.path] for row in rows if row.path in audit.facts}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("demijohn.pipeline.auditing") / TEMPLATE).read_text("utf-8"))
    return template.render(
        audit=audit,
        splits=[split for split in (*SPLITS, "") if any(split in counts for counts in audit.counts.values())],
        thumbnails={
            path: as_address(content) for path, content in read_thumbnails(audit.dataset.origin.root, facts).items()
        },
        skipped=group_skipped(audit),
        top=top,
        notes=(*audit.notes, *audit.dataset.notes),
        conflicts=conflicts,
        leaks=leaks,
        duplicates=duplicates,
        near_duplicates=near_duplicates,
        label_errors=label_errors,
        outliers=outliers,
    )


def group_skipped(audit: Audit) -> dict[str, list[str]]:
    """Return the paths of skipped files by reason, the most frequent reason first."""
    reasons: dict[str, list[str]] = {}
    for each in audit.skipped:
        reasons.setdefault(each.reason, []).append(each.path)
    return dict(sorted(reasons.items(), key=lambda item: -len(item[1])))
