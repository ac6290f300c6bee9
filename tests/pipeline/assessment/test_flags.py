"""What is wrong is flagged in words; what is sound is not."""

import json

import numpy as np
from demijohn.pipeline.assessment.flags import Edge, Flag, Standing, find_flags
from demijohn.pipeline.statistics.pairs import Judged

COUNT = 1000
KEYS = np.array([f"{i:032d}" for i in range(COUNT)], dtype="S32")


def standing(run: str, accuracy: float, role: str = "run", *, seed: int = 0, **more: object) -> Standing:
    """Return a run that is right on a share of the pictures, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(COUNT)
    judged = Judged(run, KEYS, order < accuracy * COUNT)
    return Standing(judged, role, **more)  # type: ignore[arg-type]


def controls(*, shuffled: float = 0.5, facts: float = 0.51) -> list[Standing]:
    """Return the three controls of a data set of two equal classes."""
    return [
        standing("majority", 0.5, "majority", seed=1),
        standing("shuffled", shuffled, "shuffled", seed=2),
        standing("facts", facts, "facts", seed=3),
    ]


def kinds(flags: tuple[Flag, ...]) -> list[tuple[str, str]]:
    """Return what was flagged."""
    return [(flag.kind, flag.run) for flag in flags]


def test_sound_runs_have_no_flags() -> None:
    runs = [standing("logistic", 0.9, features="a"), standing("knn", 0.89, "neighbours", features="a", seed=4)]
    assert find_flags([*runs, *controls()]) == ()
    assert find_flags([]) == ()


def test_a_run_far_below_its_neighbours() -> None:
    run, near = standing("dense", 0.499, features="a"), standing("knn", 0.895, "neighbours", features="a", seed=4)
    (flag,) = find_flags([run, near])
    assert flag.to_json() == {
        "kind": "below neighbours",
        "run": "dense",
        "sentence": "dense has an accuracy of 0.499 beside a k-NN of 0.895 on the same features: expected a trained "
        "head to be no worse; look at its curve, train it with other settings, or take another head",
    }
    elsewhere = standing("knn", 0.895, "neighbours", features="b", seed=4)
    assert find_flags([run, elsewhere]) == ()


def test_a_run_beaten_by_a_control_is_told_once_with_the_strongest() -> None:
    flags = find_flags([standing("dense", 0.45), *controls(shuffled=0.48)])
    assert kinds(flags) == [("below control", "dense")]
    assert flags[0].sentence.startswith("dense is beaten by facts of the files alone: expected clearly more than 0.510")
    (flag,) = find_flags([standing("dense", 0.52), *controls(facts=0.5)])
    assert "is not shown to be better than" in flag.sentence


def test_facts_that_tell_the_class_and_labels_that_leak() -> None:
    flags = find_flags([standing("dense", 0.95), *controls(shuffled=0.6, facts=0.8)])
    assert kinds(flags) == [("leak", "shuffled"), ("shortcut", "facts")]
    assert "an accuracy of 0.600 where the most frequent class has 0.500" in flags[0].sentence
    assert kinds(find_flags([standing("dense", 0.95), *controls(facts=0.8)][:1])) == []


def test_a_grid_that_ended_too_soon_and_a_head_that_was_stopped() -> None:
    run = standing("svm", 0.9, converged=False, edges=(Edge("c", 0.001, "least"), Edge("gamma", 10.0, "greatest")))
    flags = find_flags([run, *controls()])
    assert kinds(flags) == [("not converged", "svm"), ("edge of grid", "svm"), ("edge of grid", "svm")]
    assert flags[1].sentence == (
        "svm did best with c = 0.001, the least value tried: expected the best to have others on both sides; "
        "try smaller values"
    )
    json.dumps([flag.to_json() for flag in flags])


def test_a_few_pictures_raise_no_flag_of_difference() -> None:
    few = [
        Standing(Judged(each.judged.run, KEYS[:12], each.judged.right[:12]), each.role)
        for each in controls(shuffled=0.6, facts=0.6)
    ]
    assert find_flags(few) == ()
