"""Which standardisation serves the heads best: plain deviation, floored, or one for all features.

    python benchmarks/scaling.py [STORE]

Trains the dense and the logistic head on stored features of the only data set of STORE, with each
scaling in turn, and prints validation and test accuracy. Without STORE, the handwritten digits are
extracted into a temporary one.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from demijohn.models.heads import trial
from demijohn.models.heads.scaling import floor_deviation
from demijohn.pipeline import extract_features, train_head


def plain(deviation: Any) -> Any:
    """Divide each feature by its own deviation."""
    return np.where(deviation > 0, deviation, 1.0)


def one_for_all(deviation: Any) -> Any:
    """Divide all features by the root mean square of their deviations."""
    return np.full_like(deviation, np.sqrt(np.square(deviation).mean()))


def main() -> None:
    """Print a line per head and scaling."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "store"
        if len(sys.argv) < 2:
            digits = Path(__file__).parents[1] / "demo" / "digits.py"
            subprocess.run([sys.executable, digits, Path(folder) / "digits"], check=True)
            extract_features(Path(folder) / "digits", store=store)
        print(f"{'head':10}{'scaling':22}{'validation':>12}{'test':>8}")
        for name in ("dense", "logistic"):
            for scaling in (plain, floor_deviation, one_for_all):
                trial.floor_deviation = scaling
                metrics = train_head(name, store=store, force=True).record["metrics"]
                label = "floored (used)" if scaling is floor_deviation else scaling.__name__.replace("_", " ")
                validation, test = metrics["validation"]["accuracy"], metrics["test"]["accuracy"]
                print(f"{name:10}{label:22}{validation:12.4f}{test:8.4f}", flush=True)
        trial.floor_deviation = floor_deviation
        if len(sys.argv) > 1:
            # The runs in STORE are left as the product makes them.
            for name in ("dense", "logistic"):
                train_head(name, store=store, force=True)


if __name__ == "__main__":
    main()
