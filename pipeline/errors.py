"""What can go wrong between a folder of pictures and a report.

PipelineError
├── NoImages (LookupError)          there is nothing to extract
├── InvalidRequest (ValueError)     an argument, or the layout of the folder, makes no sense
├── DatasetClash (ValueError)       the name of the data set belongs to another folder
├── UnreadableImage (ValueError)    one picture cannot be decoded; it is skipped and listed
├── OtherPredictions (ValueError)   an exported model says something else than demijohn
├── OtherNumbers (ValueError)       this installation gives other features than those stored
├── ClusterUnreachable (ConnectionError)  there is nobody at the address of a cluster
├── WorkersLost (RuntimeError)      workers died again and again
├── TooManyUnreadable (ValueError)  more pictures were skipped than --max-bad allows
├── NotTrainable (ValueError)       too few classes or pictures to train a head
├── TooManyFeatures (MemoryError)   a head that does not stream needs more memory than it may take
└── NotReached (ValueError)         a run is not as good as --assert expects
"""


class PipelineError(Exception):
    """A stage cannot do what it was asked to."""


class NoImages(PipelineError, LookupError):
    """There are no pictures where they were expected."""


class InvalidRequest(PipelineError, ValueError):
    """An argument or the layout of the folder makes no sense."""


class DatasetClash(PipelineError, ValueError):
    """Another folder has the name of this data set."""


class UnreadableImage(PipelineError, ValueError):
    """One picture cannot be decoded."""


class OtherNumbers(PipelineError, ValueError):
    """The present installation gives other features than those that are stored."""


class OtherPredictions(PipelineError, ValueError):
    """An exported model says something else than demijohn."""


class ClusterUnreachable(PipelineError, ConnectionError):
    """There is nobody at the address of a cluster, or no worker."""


class WorkersLost(PipelineError, RuntimeError):
    """Workers died again and again."""


class TooManyUnreadable(PipelineError, ValueError):
    """More pictures were skipped than is allowed."""


class NotTrainable(PipelineError, ValueError):
    """The data set does not allow a head to be trained."""


class TooManyFeatures(PipelineError, MemoryError):
    """The features take more memory than a head may have that needs all of them at once."""


class NotReached(PipelineError, ValueError):
    """The best run is not as good as was expected."""
