"""The commands that errors tell, with the store that they are for: each works as it stands."""

import shlex
from pathlib import Path

from .places import Place

USUAL_STORE = Path("bottlenecks")
"""Where everything is kept if nothing else is said."""


def on_store(command: str, store: Path) -> str:
    """Return a command line that uses a store.

    >>> on_store("demijohn cache list", Path("bottlenecks"))
    'demijohn cache list'
    >>> on_store("demijohn cache list", Path("my store"))
    "demijohn cache list --store 'my store'"
    """
    return command if store == USUAL_STORE else f"{command} --store {shlex.quote(str(store))}"


def extraction(source: Place, name: str, store: Path) -> str:
    """Return the command that extracts the pictures of a data set.

    >>> extraction(Path("/my photos"), "photos", Path("bottlenecks"))
    "extract-features '/my photos' --dataset photos"
    """
    return on_store(shlex.join(["extract-features", str(source), "--dataset", name]), store)


def repair_hint(features: Path) -> str:
    """Return what mends a damaged file of the feature set in a folder of a store."""
    command = on_store("demijohn cache verify --repair", features.parent.parent)
    return f"run {command}, which takes what is damaged out of use and tells how its rows are made anew"
