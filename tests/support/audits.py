"""An audit with one finding of each kind, made by hand."""

from pathlib import Path

from demijohn.cache import Dataset, Origin, Row, Skipped
from demijohn.pipeline.auditing.findings import Audit, Duplicate, LabelError, NearDuplicate, Outlier
from demijohn.pipeline.pictures.facts import FileFacts
from support.rows import feature_set, key

ROWS = (
    Row("test/cats/1.jpg", key(1), "cats", "test"),
    Row("train/cats/2.jpg", key(2), "cats", "train"),
    Row("train/dogs/1.jpg", key(1), "dogs", "train"),
    Row("loose.jpg", key(3), "", ""),
)


def made_audit(folder: Path) -> Audit:
    """Return an audit with one finding of each kind."""
    facts = FileFacts(2000, 40, 20, "JPEG", 80)
    return Audit(
        dataset=Dataset("pets", Origin(Path("/pets"), 0), "split folders: test, train", ROWS, ("a note",)),
        seed=0,
        features=feature_set(folder),
        facts={ROWS[0].path: facts, ROWS[1].path: FileFacts(1000, 10, 20, "PNG", None)},
        duplicates=(Duplicate((ROWS[0], ROWS[2]), ("test", "train")),),
        near_duplicates=(
            NearDuplicate(ROWS[0], ROWS[2], 0.98, 0.999, mirrored=True),
            NearDuplicate(ROWS[1], ROWS[3], 0.95, None, mirrored=None),
        ),
        label_errors=(
            LabelError(ROWS[1], "dogs", 0.01, 0.99, confident=True),
            LabelError(ROWS[0], "dogs", 0.4, 0.6, confident=False),
        ),
        outliers=(Outlier(ROWS[1], 4.25),),
        shortcuts=None,
        skipped=(Skipped("train/cats/x.jpg", "the file is empty"),),
        notes=("another note",),
        page=folder / "audit.html",
    )
