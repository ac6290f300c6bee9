"""What can go wrong with networks and heads.

ModelError
├── UnknownBackbone (LookupError)    no backbone of that name
├── UnknownHead (LookupError)        no head of that name
├── UnknownLayer (LookupError)       a network has no layer of that name
├── UnsuitableSetting (ValueError)   a head or network does not know this setting, or not this value
├── UnsuitableRows (ValueError)      rows cannot be learned from, or do not fit the head
├── UnsuitableEngine (ValueError)    an engine cannot run this network
├── MissingWeights (LookupError)     the weights are not here and could not be downloaded
└── BadWeights (ValueError)          the file does not hold the weights of this network
"""


class ModelError(Exception):
    """Something about a network or a head is not as expected."""


class UnknownBackbone(ModelError, LookupError):
    """There is no backbone of that name."""


class UnknownHead(ModelError, LookupError):
    """There is no head of that name."""


class UnknownLayer(ModelError, LookupError):
    """A network has no layer of that name that can be tapped."""


class UnsuitableSetting(ModelError, ValueError):
    """A head or a network does not know a setting, or does not take its value."""


class UnsuitableRows(ModelError, ValueError):
    """Rows cannot be learned from, or do not fit what a head was trained on."""


class UnsuitableEngine(ModelError, ValueError):
    """An engine cannot take a network, or makes other numbers of it."""


class MissingWeights(ModelError, LookupError):
    """The weights are not on this machine and could not be downloaded."""


class BadWeights(ModelError, ValueError):
    """A file does not hold the weights of the network that it is meant for."""
