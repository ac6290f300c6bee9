"""The table: a row per family, differences read from the other's side, controls apart."""

from pathlib import Path

from demijohn.pipeline import report_heads
from demijohn.pipeline.reporting.scoreboard import CAPTION, COLUMNS, NUMBERS, TRAINED, cells_of, tabulate
from support.trials import add_run, find_ground, make_store, predict


def test_rows_and_their_cells(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", images=(60, 60, 200), backbones=("xception", "mobilenet"))
    ground = find_ground(store)
    add_run(store, "best", predict(ground, 0.97, seed=1), ground)
    for seed in range(2):
        add_run(store, f"s{seed}", predict(ground, 0.6, seed=10 + seed), ground, head="dense", seed=seed)
    elsewhere = find_ground(store, "mobilenet")
    add_run(store, "other", predict(elsewhere, 0.3, seed=3), elsewhere, head="svm", settings={"c": 0.012345})
    report = report_heads(store=store.folder).to_json()
    board = tabulate(report)
    assert [row[:3] for row in board.runs] == [
        ("xception", "ridge", ""),
        ("xception", "dense", "2 seeds"),
        ("mobilenet", "svm", "c=0.0123"),
    ]
    cells = [dict(zip(COLUMNS, row, strict=True)) for row in board.runs]
    assert cells[0]["to the best"] == "best"
    assert cells[1]["to the best"].startswith("-")
    assert cells[1]["to the best"].endswith("] seed 0")
    compared = next(each for each in report["comparisons"] if each["other"] == "other")
    low, high = (100 * end for end in compared["family_interval"])
    assert cells[2]["to the best"] == f"{-100 * compared['difference']:.1f} [{-high:.1f}, {-low:.1f}]"
    (family,) = report["seeds"]
    assert cells[1]["test"].startswith(f"{100 * family['mean']:.1f} [")
    assert cells[1]["ms"] == "-"
    assert [row[1] for row in board.controls] == ["majority", "10-NN", "centroid", "shuffled"]
    assert len(tabulate(report, every=True).controls) == 7
    assert all(len(row) == len(COLUMNS) for row in (*board.runs, *board.controls))
    # What is told of a run when it has been trained is what the report says of it.
    alone = dict(zip(TRAINED, cells_of(report["runs"][0]), strict=True))
    assert alone == {name: cells[0][name] for name in TRAINED}


def test_the_caption_fits_into_a_terminal() -> None:
    assert max(map(len, CAPTION.splitlines())) <= 116
    assert set(NUMBERS) <= set(COLUMNS)
