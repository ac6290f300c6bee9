"""Verdicts on narrower types that nobody has measured: for tests of what is made of them."""

from demijohn.models import BACKBONES
from demijohn.models.engines.precisions import Trial, Verdict

TRIAL = Trial(
    dataset="pets",
    pictures=1000,
    classes=2,
    same_nearest=0.995,
    same_ten=0.996,
    accuracy=0.99,
    accuracy_float32=0.991,
    difference=-0.001,
    interval=(-0.004, 0.002),
)
VERDICT = Verdict(
    backbone="efficientnet-lite0",
    weights="1" * 64,
    input_size=BACKBONES["efficientnet-lite0"].input_size,
    precision="bfloat16",
    engine="openvino",
    speed=1.8,
    trials=(TRIAL,),
)
"""It passes."""
