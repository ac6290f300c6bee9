"""What is expected of the best run is read by a small grammar, and judged in a sentence."""

import contextlib

import pytest
from demijohn.pipeline import InvalidRequest
from demijohn.pipeline.assessment.expectations import METRICS, read_expectation
from hypothesis import given
from hypothesis import strategies as st

METRICS_OF = {
    "train": {},
    "validation": {"accuracy": None},
    "test": {"accuracy": 0.93, "accuracy_interval": [0.9, 0.95]},
}


@given(
    st.sampled_from(["train", "validation", "test"]),
    st.sampled_from(METRICS),
    st.sampled_from([">=", ">", "<=", "<", "=="]),
    st.floats(-1e6, 1e6),
    st.sampled_from(["", " ", "  "]),
)
def test_every_metric_of_every_split_can_be_asked(split: str, name: str, sign: str, number: float, blank: str) -> None:
    found = read_expectation(f"{blank}{split}.{name}{blank}{sign}{blank}{number!r}{blank}")
    assert (found.split, found.name, found.sign, found.number) == (split, name, sign, number)


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert read_expectation(text).text == text


@pytest.mark.parametrize(
    "text",
    ["", "test.accuracy", "test.accuracy >= ", "accuracy >= 0.9", "test.accurcy >= 0.9", "dev.accuracy >= 1",
     "test.accuracy => 0.9", "test.accuracy >= nan", "test.accuracy >= inf", "test.accuracy >= __import__('os')",
     "flags.run <= 1", "test.per_class >= 1", "test.accuracy >= 0.9 or 1"],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="expected"):
        read_expectation(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("test.accuracy >= 93%", None),
        ("test.accuracy > 0.93", "test.accuracy of best is 0.93: expected > 0.93, missed by 0"),
        ("test.accuracy >= 0.95", "test.accuracy of best is 0.93: expected >= 0.95, missed by 0.02"),
        ("test.accuracy < 0.95", None),
        ("test.accuracy == 0.5", "test.accuracy of best is 0.93: expected == 0.5, missed by 0.43"),
        ("test.accuracy_low >= 0.9", None),
        ("test.accuracy_high <= 0.9", "test.accuracy_high of best is 0.95: expected <= 0.9, missed by 0.05"),
        (
            "validation.accuracy > 0",
            "validation.accuracy of best is not known: expected > 0; bring pictures into the split",
        ),
        ("test.roc_auc_low > 0", "test.roc_auc_low of best is not known: expected > 0; bring pictures into the split"),
        ("flags <= 0", "flags is 2: expected <= 0, missed by 2"),
        ("flags < 3", None),
    ],
)
def test_the_judgement_says_what_was_expected_and_found(text: str, told: str | None) -> None:
    assert read_expectation(text).judge(METRICS_OF, {"flags": 2.0}, "best") == told
