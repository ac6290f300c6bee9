"""The backbones: a frozen record each, with the input size and preprocessing that it was trained with.

Adding a backbone is one record, here or a line of `applications`, and nothing else: the tests run over
the registry.
"""

import difflib
import re

from ..errors import UnknownBackbone
from .applications import APPLICATIONS
from .backbone import Backbone
from .efficientnet_lite import EFFICIENTNET_LITES


def find_backbone(name: str) -> Backbone:
    """Return the backbone of that name; Keras' spelling will do, and so will any other case.

    >>> find_backbone("EfficientNetV2B0").name, find_backbone("mobilenet_0.25").name
    ('efficientnet-v2-b0', 'mobilenet-0.25')

    Raises
    ------
    UnknownBackbone
        There is none; the message offers near matches.
    """
    plain = {_letters(each): each for each in BACKBONES}
    if (wanted := _letters(name)) in plain:
        return BACKBONES[plain[wanted]]
    longer = [each for each in plain if wanted and each.startswith(wanted)]
    near = [plain[each] for each in longer[:3] or difflib.get_close_matches(wanted, plain, cutoff=0.7)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"{len(BACKBONES)} others are known;"
    raise UnknownBackbone(f"no backbone is called {name!r}: {hint} see: demijohn backbones")


def _letters(name: str) -> str:
    """Return what tells a name from others: its letters and digits, and the dot of a width."""
    return re.sub(r"[^a-z0-9.]", "", name.lower())


_RECORDS = (*EFFICIENTNET_LITES, *APPLICATIONS)

BACKBONES: dict[str, Backbone] = {record.name: record for record in _RECORDS}
