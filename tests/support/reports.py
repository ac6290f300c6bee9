"""A store with a report on pictures whose classes and files have names that are markup."""

import csv
from pathlib import Path

import pytest
from demijohn.models.backbones.backbones import BACKBONES
from demijohn.pipeline import audit, extract_features, report_heads, train_head
from support.pictures import encode
from support.scenes import scene
from support.standin import TINY
from support.swift import use_swift_engine

CLASSES = ("</script><img src=x onerror=alert(2)>", "<script>alert(1)</script>", "a 'b' \"c\" & ${d} {{ e }}")
FILE = "<img src=x onerror='alert(3)'> & \"{0:02d}\".png"
PER_CLASS = 40
GRAYS = (40, 128, 215)


def write_report(root: Path) -> Path:
    """Write pictures, features, three runs, an audit and a report below a folder; return the store's folder."""
    photos, store = root / "<b>photos", root / "store"
    photos.mkdir(parents=True)
    with (photos / "table.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        (photos / "broken <i>.png").write_bytes(b"no picture")
        table.writerow(["broken <i>.png", CLASSES[0]])
        for index in range(PER_CLASS * len(CLASSES)):
            name = FILE.format(index)
            (photos / name).write_bytes(encode(scene(index, colour=(GRAYS[index % 3],) * 3)))
            # Some labels are wrong, so that there are mistakes to show.
            table.writerow([name, CLASSES[(index + (index % 7 == 0)) % 3]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, TINY.name, TINY)
        patch.setattr("demijohn.models.heads.probes.TREES", 5)
        use_swift_engine(patch)
        extract_features(photos / "table.csv", backbone=TINY.name, weights="random", store=store)
        for head, settings in (("logistic", {}), ("logistic", {"c": 0.1}), ("logistic", {"c": 0.001})):
            run = train_head(head, store=store, settings=settings)
        write_history(run.folder / "history.csv")
        audit(store=store)
        report_heads(store=store)
    return store


def report_in(store: Path) -> Path:
    """Return the folder of the only report in a store."""
    (folder,) = (store / "report").iterdir()
    return folder


def page_of(store: Path) -> Path:
    """Return the page of the only report in a store."""
    return report_in(store) / "index.html"


def write_history(path: Path) -> None:
    """Write the history of a head that learns in epochs; the stand-in for one that needs no TensorFlow."""
    lines = [f"{epoch},{1 / epoch},{1 - 0.3 / epoch},{1.1 / epoch},{0.95 - 0.3 / epoch}" for epoch in range(1, 9)]
    path.write_text("\n".join(["epoch,loss,accuracy,val_loss,val_accuracy", *lines]) + "\n")
