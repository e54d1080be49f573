"""One family of errors: every message says where, what came, what fits, and the way out.

Exit codes (documented in `workbench --help`): 0 done, 1 a check failed, 2 bad input, 3 no configuration fits.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

EXIT_OK = 0
EXIT_CHECK_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_DOES_NOT_FIT = 3


class WorkbenchError(Exception):
    """Base of all errors that a user can cause; the command line prints it without a traceback."""

    exit_code = EXIT_BAD_INPUT


class InputError(WorkbenchError):
    """A file, array or argument that cannot be used."""


class ModelError(InputError):
    """A model file that is damaged, hostile, or uses something that is not supported."""


class ProfileError(InputError):
    """A hardware profile that is not well formed."""


class StudyError(InputError):
    """A study that is not well formed."""


class UnsupportedError(InputError):
    """A legal request (operator x format x target) that this target cannot do."""


class ModelWarning(UserWarning):
    """What was taken for granted, or left out, in reading a model."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest known name, or an empty string."""
    match = get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.6)
    return f" Did you mean '{match[0]}'?" if match else ""
