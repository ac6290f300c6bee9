"""A command imports Keras alone; in anybody else's process it is whole."""

import subprocess
import sys
from pathlib import Path

import pytest

EXTRAS = """
import sys
from demijohn.models.backend import import_keras
from demijohn.pipeline.commands.small_keras import keep_keras_small
if "small" in sys.argv:
    keep_keras_small()
keras = import_keras()
print(*{"matplotlib", "pandas", "sklearn"} & set(sys.modules))
import matplotlib, pandas, sklearn
frame = pandas.DataFrame({"x": [1.0, 2.0]})
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile(loss="mse")
model.fit(frame[["x"]].to_numpy() if "small" in sys.argv else frame[["x"]], frame["x"].to_numpy(), verbose=0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("small", [True, False])
def test_extras_of_keras_stay_out_only_where_nobody_else_uses_it(tmp_path: Path, small: bool) -> None:
    (tmp_path / "script.py").write_text(EXTRAS)
    words = [sys.executable, tmp_path / "script.py", *["small"] * small]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.split() == []) == small
