"""The registry: heads are found by their names, and each has settings of its own."""

import json
from typing import Any

import pytest
from demijohn.models import HEADS, UnknownHead, UnsuitableSetting, find_head
from hypothesis import given
from hypothesis import strategies as st
from support.heads import every_head


@every_head
def test_a_head_is_found_by_name(name: str) -> None:
    assert find_head(name) is HEADS[name]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("Dense", "dense"),
        ("denes", "dense"),
        ("logistics", "logistic"),
        ("LOGISTIC", "logistic"),
        ("SVM", "svm"),
        ("svn", "svm"),
    ],
)
def test_a_name_that_is_nearly_right_is_put_right(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownHead, match=f"did you mean {meant}") as caught:
        find_head(wrong)
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "forest", "?"])
def test_a_name_like_none_gets_the_whole_list(wrong: str) -> None:
    with pytest.raises(UnknownHead) as caught:
        find_head(wrong)
    assert all(name in str(caught.value) for name in HEADS)
    assert isinstance(caught.value, LookupError)


@every_head
def test_a_record_is_plain_json(name: str) -> None:
    facts = HEADS[name].to_json()
    # Tuples become lists.
    assert json.loads(json.dumps(facts, allow_nan=False)).keys() == {"name", "summary", "settings"}
    assert facts["name"] == name
    assert "seed" not in facts["settings"], "a seed is no setting"


OWNED = [(record, setting) for record in HEADS.values() for setting in record.settings]


@every_head
def test_a_setting_of_another_head_is_refused_with_that_heads_name(name: str) -> None:
    for record, setting in OWNED:
        value = record.settings[setting]
        if setting in HEADS[name].settings:
            assert HEADS[name].complete({setting: value})[setting] == value
            continue
        with pytest.raises(UnsuitableSetting) as caught:
            HEADS[name].complete({setting: value})
        message = str(caught.value)
        assert message.startswith(f"--{setting.replace('_', '-')} is no setting of the head {name}")
        owners = message.partition("belongs to ")[2].partition(";")[0].split(", ")
        assert owners == [head.name for head in HEADS.values() if setting in head.settings]
        assert all(f"--{own.replace('_', '-')}" in message for own in HEADS[name].settings)
        assert isinstance(caught.value, ValueError)


@every_head
@pytest.mark.parametrize("setting", ["seed", "nonsense", ""])
def test_a_setting_of_no_head_is_refused(name: str, setting: str) -> None:
    with pytest.raises(UnsuitableSetting, match="belongs to no head"):
        HEADS[name].complete({setting: 1})


OTHER = {
    "hidden": (3, 2),
    "dropout": 0.1,
    "batch_norm": True,
    "l2": 0.01,
    "epochs": 7,
    "batch_size": 9,
    "learning_rate": 0.5,
    "patience": 3,
    "balanced": True,
    "kernel": "rbf",
    "c": 2.0,
    "alpha": 3.0,
    "neighbours": 4,
    "shrinkage": 0.5,
}
"""A value of every setting that is not its default."""


@every_head
@given(st.data())
def test_given_settings_win_and_the_defaults_fill_the_rest(name: str, data: st.DataObject) -> None:
    record = HEADS[name]
    chosen = {
        setting: OTHER[setting]
        for setting in data.draw(st.sets(st.sampled_from([*sorted(record.settings), None])))
        if setting
    }
    assert all(record.settings[setting] != value for setting, value in chosen.items())
    complete = record.complete(chosen)
    assert complete.keys() == record.settings.keys()
    assert {setting: complete[setting] for setting in chosen} == chosen
    assert all(complete[setting] == record.settings[setting] for setting in complete.keys() - chosen.keys())


@every_head
def test_settings_reach_the_head(name: str) -> None:
    record = HEADS[name]
    other = {setting: OTHER[setting] for setting in record.settings}
    head: Any = record.make(record.complete(other), seed=5)
    assert head.get_params() == {**other, "seed": 5}
