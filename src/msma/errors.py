"""Every error this package raises on purpose.

The tree, so that a caller can catch as narrowly as wanted::

    MsmaError
    ├── ShapeError          arrays whose shapes, dtypes or values cannot be used together
    ├── ScaleError          layers that cannot be divided into three scales as asked
    ├── ModelError          a model or tokenizer that cannot be loaded, read or hooked
    ├── CorpusError         texts that cannot be read, or are too few
    ├── OriginError         a map and states that come from different models
    ├── StorageError        files that are missing, damaged or cannot be written
    ├── ConfigError         a setting that does not exist or has an impossible value
    ├── TrainingError       a training that diverged
    └── MissingExtraError   an optional dependency that is not installed

Each message says what came, what was expected and what to do about it.
"""


class MsmaError(Exception):
    """Root of every error raised on purpose by this package."""


class ShapeError(MsmaError, ValueError):
    """Arrays whose shapes, dtypes or values cannot be used together."""


class ScaleError(MsmaError, ValueError):
    """Layers that cannot be divided into three scales as asked."""


class ModelError(MsmaError):
    """A model or tokenizer that cannot be loaded, read or hooked."""


class CorpusError(MsmaError, ValueError):
    """Texts that cannot be read, or are too few for what was asked."""


class OriginError(MsmaError, ValueError):
    """A map and states that come from different models, layers or scales."""


class StorageError(MsmaError, OSError):
    """Files that are missing, damaged or cannot be written."""


class ConfigError(MsmaError, ValueError):
    """A setting that does not exist or has an impossible value."""


class TrainingError(MsmaError):
    """A training that diverged."""


class MissingExtraError(MsmaError, ImportError):
    """An optional dependency that is not installed.

    Args:
        package: Name of the missing package, as imported.
        extra: The extra of this project that brings it.

    Examples:
        >>> print(MissingExtraError("pandas", extra="report"))
        'pandas' is not installed; it comes with: pip install 'msma[report]'
    """

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(f"'{package}' is not installed; it comes with: pip install 'msma[{extra}]'")
        self.package = package
        self.extra = extra
