"""Who is better than whom; seeds are luck; choosing has a price; a cheaper one may do."""

from pathlib import Path

import numpy as np
import pytest
from demijohn.cache import Run
from demijohn.cache.results import KeptResults
from demijohn.pipeline import report_heads
from demijohn.pipeline.assessment.costs import Cost
from demijohn.pipeline.assessment.judgements import Judgement, judge_run
from demijohn.pipeline.assessment.verdicts import (
    compare_with_best,
    find_cheaper,
    find_front,
    group_families,
    measure_choice,
    name_runs,
    separate_families,
)
from demijohn.pipeline.runs.choosing import rank_runs
from demijohn.pipeline.training.ground import Ground
from support.cases import quick
from support.trials import add_run, find_ground, make_store, predict


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Return pictures and features of three classes."""
    return find_ground(make_store(tmp_path / "store", images=(30, 300, 300)))


def judge(ground: Ground, tmp_path: Path, *runs: Run) -> list[Judgement]:
    """Return the runs, the best first."""
    return [judge_run(run, ground, KeptResults(tmp_path / "kept", 1)) for run in rank_runs(runs)]


def run(tmp_path: Path, ground: Ground, name: str, accuracy: float, **about: object) -> Run:
    """Return a run of about that accuracy."""
    scores = predict(ground, accuracy, seed=sum(map(ord, name)))
    return add_run(make_store(tmp_path / "store", images=(30, 300, 300)), name, scores, ground, **about)  # type: ignore[arg-type]


def costs(*milliseconds: tuple[str, float | None]) -> dict[str, Cost]:
    """Return the cost of some runs."""
    return {
        name: Cost(1.0, 1.0, each, 0.0, at_most=False, head_bytes=1, backbone_bytes=10) for name, each in milliseconds
    }


def test_runs_that_differ_only_by_seed_are_a_family_and_none_is_better(ground: Ground, tmp_path: Path) -> None:
    # One of the seeds is far better: that is luck of training all the same.
    runs = [run(tmp_path, ground, f"s{seed}", 0.6 + 0.15 * seed, head="dense", seed=seed) for seed in range(3)]
    ranked = judge(ground, tmp_path, *runs)
    families = group_families(ranked)
    assert [[each.run.id for each in members] for members in families.values()] == [["s2", "s1", "s0"]]
    names = name_runs(families)
    assert names == {f"s{seed}": f"xception+dense seed {seed}" for seed in range(3)}
    duels = compare_with_best(families, names, "test")
    assert {duel.comparison.verdict for duel in duels} == {"seed only"}
    assert all("have the same settings" in duel.comparison.sentence for duel in duels)
    (family,) = separate_families(families, names, "test")
    assert family.name == "xception+dense"
    assert family.to_json()["runs"] == 3
    assert family.between_seeds is not None
    assert family.between_seeds > 0.05
    assert family.mean == pytest.approx(np.mean([each.accuracy("test") for each in ranked]))


@pytest.mark.parametrize("best", quick(1, ["twins", "other"]))
def test_runs_of_the_same_settings_and_seed_are_told_apart(best: str, tmp_path: Path) -> None:
    """As an earlier demijohn and this one train them."""
    store = make_store(tmp_path / "store", images=(30, 60, 60))
    ground = find_ground(store)
    for name, accuracy, head in (
        ("a", 0.9, "ridge"),
        ("b", 0.8, "ridge"),
        ("c", 0.2 if best == "twins" else 0.99, "svm"),
    ):
        add_run(store, name, predict(ground, accuracy, seed=3), ground, head=head)
    made = report_heads(store=store.folder)
    names = {each["run"]: each["name"] for each in made.to_json()["runs"]}
    assert names == {"a": "xception+ridge seed 0 (a)", "b": "xception+ridge seed 0 (b)", "c": "xception+svm"}
    verdicts = {frozenset((each["one"], each["other"])): each["verdict"] for each in made.to_json()["comparisons"]}
    assert verdicts.get(frozenset("ab"), "seed only") == "seed only"
    assert len(verdicts) == (2 if best == "twins" else 1)
    assert made.to_json()["seeds"] == [], "of luck of training they say nothing"
    assert "2 runs" in (store.report_folder(store.find_dataset().name) / "report.md").read_text()


def test_families_are_ranked_by_their_mean(ground: Ground, tmp_path: Path) -> None:
    lucky = [
        run(tmp_path, ground, f"s{seed}", accuracy, head="dense", seed=seed)
        for seed, accuracy in enumerate((0.5, 0.99))
    ]
    steady = run(tmp_path, ground, "steady", 0.9)
    ranked = judge(ground, tmp_path, steady, *lucky)
    assert [each.run.id for each in ranked] == ["steady", "s1", "s0"]


def test_each_other_family_is_compared_once_by_its_least_seed(ground: Ground, tmp_path: Path) -> None:
    best = run(tmp_path, ground, "best", 0.97)
    others = [run(tmp_path, ground, f"s{seed}", 0.7 + 0.01 * seed, head="dense", seed=seed) for seed in (3, 4, 5)]
    families = group_families(judge(ground, tmp_path, best, *others))
    (duel,) = compare_with_best(families, name_runs(families), "test")
    assert (duel.comparison.one, duel.comparison.other, duel.comparison.verdict) == ("best", "s3", "better")
    assert duel.comparison.sentence.startswith("xception+ridge is better than xception+dense seed 3 by ")
    assert duel.over_seeds is None


def test_settings_are_compared_over_seeds_where_both_have_several(ground: Ground, tmp_path: Path) -> None:
    good = [run(tmp_path, ground, f"g{seed}", 0.95, head="svm", seed=seed) for seed in range(3)]
    bad = [run(tmp_path, ground, f"b{seed}", 0.7, head="dense", seed=seed) for seed in range(3)]
    families = group_families(judge(ground, tmp_path, *good, *bad))
    duels = compare_with_best(families, name_runs(families), "test")
    assert [duel.comparison.verdict for duel in duels] == ["better", "seed only", "seed only"]
    told = duels[0].to_json()["over_seeds"]
    assert told["shown"]
    assert 0.1 < told["difference"] < 0.4


def test_names_say_what_is_needed_and_no_two_are_alike(ground: Ground, tmp_path: Path) -> None:
    ranked = judge(
        ground,
        tmp_path,
        run(tmp_path, ground, "one", 0.9, head="ridge"),
        run(tmp_path, ground, "two", 0.8, head="svm", settings={"c": 0.1}),
        run(tmp_path, ground, "three", 0.7, head="svm", settings={"c": 1.0}),
        run(tmp_path, ground, "four", 0.6, head="knn", dataset_digest="a", views=1),
        run(
            tmp_path,
            ground,
            "five",
            0.5,
            head="knn",
            views=1,
            request={"folds": None, "refit": True, "calibrated": False},
        ),
    )
    names = name_runs(group_families(ranked))
    assert names["one"] == "xception+ridge"
    assert names["two"] == "xception+svm (c=0.1)"
    assert {names["four"], names["five"]} == {"four", "five"}
    assert len(set(names.values())) == 5


def test_a_cheaper_run_is_good_enough_or_not(ground: Ground, tmp_path: Path) -> None:
    scores = predict(ground, 0.98, seed=1)
    best = add_run(make_store(tmp_path / "store", images=(30, 300, 300)), "best", scores, ground, head="svm")
    same = add_run(make_store(tmp_path / "store", images=(30, 300, 300)), "same", scores, ground, head="lda")
    bad = run(tmp_path, ground, "zbad", 0.6, head="knn")
    dear = run(tmp_path, ground, "zdear", 0.9, head="logistic")
    ranked = judge(ground, tmp_path, best, same, bad, dear)
    names = name_runs(group_families(ranked))
    found = find_cheaper(
        ranked, costs(("best", 10.0), ("same", 2.0), ("zbad", 1.0), ("zdear", 11.0)), names, "test", margin=0.01
    )
    assert [(verdict.cheaper, verdict.good_enough, by) for verdict, by in found] == [
        ("zbad", False, "milliseconds"),
        ("same", True, "milliseconds"),
    ]
    assert found[1][0].sentence == "xception+lda is as good as xception+svm within 1 point"
    # Where one is not known, size decides.
    unknown = costs(("best", 10.0), ("same", None), ("zbad", 1.0), ("zdear", 11.0))
    assert {by for _, by in find_cheaper(ranked, unknown, names, "test", margin=0.01)} == {"bytes"}


def test_the_front_has_no_run_that_another_beats_in_both(ground: Ground, tmp_path: Path) -> None:
    ranked = judge(
        ground, tmp_path, *(run(tmp_path, ground, name, share, head=head) for name, share, head in
                            (("a", 0.95, "svm"), ("b", 0.7, "knn"), ("c", 0.85, "lda"), ("d", 0.6, "ridge")))
    )  # fmt: skip
    assert find_front(ranked, costs(("a", 9.0), ("b", 3.0), ("c", 2.0), ("d", 1.0)), "test") == ("d", "c", "a")


def test_choosing_among_many_equal_runs_has_a_price(ground: Ground, tmp_path: Path) -> None:
    heads = ["svm", "knn", "lda", "ridge", "centroid", "logistic", "dense"]
    runs = [run(tmp_path, ground, head, 0.8, head=head) for head in heads]
    ranked = judge(ground, tmp_path, *runs)
    names = name_runs(group_families(ranked))
    measured, expected = measure_choice(ranked, names)
    assert measured is not None
    assert expected is not None
    assert (measured.run, expected.runs) == (ranked[0].run.id, 7)
    assert 0 < expected.optimism < 0.1
    assert measure_choice(ranked[:1], names)[1] is None


def test_predictions_are_read_once(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = run(tmp_path, ground, "one", 0.9)
    before = judge(ground, tmp_path, one)[0]
    monkeypatch.setattr(Run, "predictions", property(lambda _: pytest.fail("read again")))
    after = judge(ground, tmp_path, one)[0]
    assert np.array_equal(before.right, after.right)
    assert before.run.record == after.run.record


def test_an_older_run_gets_the_metrics_that_it_lacks(ground: Ground, tmp_path: Path) -> None:
    whole = run(tmp_path, ground, "one", 0.9)
    known = ("images", "accuracy", "accuracy_interval", "macro_f1")
    lacking = {
        split: {name: value for name, value in metrics.items() if name in known}
        for split, metrics in whole.record["metrics"].items()
    }
    (judged,) = judge(ground, tmp_path, Run(whole.id, whole.folder, {**whole.record, "metrics": lacking}))
    for split, metrics in whole.record["metrics"].items():
        again = judged.run.record["metrics"][split]
        assert again.keys() == metrics.keys()
        for name in ("accuracy", "macro_f1", "roc_auc", "log_loss"):
            assert again[name] == pytest.approx(metrics[name], rel=1e-5), (split, name)
