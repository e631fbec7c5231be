"""Error tree. Each error is also a builtin, so an ordinary `except ValueError` keeps working.

A message says what was expected, what came, and what to do.
"""

__all__ = [
    "DataError",
    "EquipoiseError",
    "InputError",
    "MissingExtraError",
    "NotFittedError",
    "TrainingError",
    "UndefinedRateWarning",
]


class EquipoiseError(Exception):
    """Everything that this library raises on purpose."""


class InputError(EquipoiseError, ValueError):
    """An argument or a setting is not what was expected."""


class NotFittedError(EquipoiseError, RuntimeError):
    """Something was used before it learned anything."""


class DataError(EquipoiseError, OSError):
    """A file, folder or cache cannot be read or written as needed."""


class TrainingError(EquipoiseError, RuntimeError):
    """Training had to stop, for example because the loss is not finite."""


class MissingExtraError(EquipoiseError, ImportError):
    """An optional dependency is needed and not installed."""


class UndefinedRateWarning(UserWarning):
    """A rate has no value for some group, for example because the group has no positives."""
