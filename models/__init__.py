"""What is learned: backbones that turn pictures into features, heads that turn features into classes.

This folder knows Keras and scikit-learn; it must not know the layout of the store or where
pictures come from. Facts about a network are data in one record (`backbones`), a head is a
record and an estimator (`heads`). Keras is imported where a network is built, never before.
"""

from .backbones.backbone import Backbone, Preprocessing
from .backbones.backbones import BACKBONES, find_backbone
from .backbones.weights import LocatedWeights, load_classifier, load_extractor, locate_weights
from .errors import (
    BadWeights,
    MissingWeights,
    ModelError,
    UnknownBackbone,
    UnknownHead,
    UnknownLayer,
    UnsuitableEngine,
    UnsuitableRows,
    UnsuitableSetting,
)
from .heads.estimator import Head
from .heads.heads import HEADS, HeadRecord, find_head, load_head

__all__ = [
    "BACKBONES",
    "HEADS",
    "Backbone",
    "BadWeights",
    "Head",
    "HeadRecord",
    "LocatedWeights",
    "MissingWeights",
    "ModelError",
    "Preprocessing",
    "UnknownBackbone",
    "UnknownHead",
    "UnknownLayer",
    "UnsuitableEngine",
    "UnsuitableRows",
    "UnsuitableSetting",
    "find_backbone",
    "find_head",
    "load_classifier",
    "load_extractor",
    "load_head",
    "locate_weights",
]
