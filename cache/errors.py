"""What can go wrong with what is kept.

CacheError
├── DamagedFile (ValueError)         bytes on disk are not what was written
├── NewerFormat (ValueError)         written by a later demijohn
├── OlderFormat (ValueError)         written by an earlier demijohn
├── NothingLeft (ValueError)         a care of the store that would leave nothing
├── MissingFeatures (LookupError)    some image has no row yet
├── UnknownFeatures (LookupError)    no feature set, or several, fit the request
├── UnknownDataset (LookupError)     no data set, or several, fit the request
├── UnknownRun (LookupError)         no run, or several, fit the request
├── Unreachable (OSError)            something elsewhere cannot be listed, read or written
└── StoreNotWritable (OSError)       the disk is full, or the folder may not be written

Every message is one line: the fact, what was expected, what was found, the command that mends it.
"""


class CacheError(Exception):
    """Something that is kept cannot be read, found or written."""


class DamagedFile(CacheError, ValueError):
    """A file of the store is not what was written."""


class NewerFormat(CacheError, ValueError):
    """A file of the store was written by a later version of demijohn."""


class OlderFormat(CacheError, ValueError):
    """A file of the store was written by an earlier version of demijohn, in a format that has gone."""


class NothingLeft(CacheError, ValueError):
    """What was asked for would remove every row."""


class MissingFeatures(CacheError, LookupError):
    """Some pictures of the data set have no features yet."""


class UnknownFeatures(CacheError, LookupError):
    """The store holds no feature set that fits the request, or more than one."""


class UnknownDataset(CacheError, LookupError):
    """The store holds no data set that fits the request, or more than one."""


class UnknownRun(CacheError, LookupError):
    """The store holds no run that fits the request, or more than one."""


class Unreachable(CacheError, OSError):
    """Something elsewhere, named by a URL, cannot be listed, read or written."""


class StoreNotWritable(CacheError, OSError):
    """The store cannot be written: full, read-only or forbidden."""

    def __str__(self) -> str:
        return " ".join(str(argument) for argument in self.args)
