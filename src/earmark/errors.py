"""The exception family: every error that earmark raises on purpose, each saying what was found, needed, and what helps.

Whoever catches `EarmarkError` has caught them all; the command line prints their text and exits with `exit_code`.
"""


class EarmarkError(Exception):
    """Something that the user can mend. The message says what was found, what is needed, the likely cause, a remedy."""

    exit_code = 1


class ParamsError(EarmarkError):
    """params.yaml, or another file of settings, has an unknown, missing or impossible value."""

    exit_code = 2


class AudioError(EarmarkError):
    """A recording cannot be decoded, or does not fit what was asked of it."""

    exit_code = 3


class CatalogueError(EarmarkError):
    """A collection cannot be imported, or a catalogue is not fit to learn from."""

    exit_code = 4


class ModelError(EarmarkError):
    """A model cannot be trained, stored, loaded or applied."""

    exit_code = 5


class RegistryError(EarmarkError):
    """The registry has no such model, version or alias, or cannot be reached."""

    exit_code = 6


class ToolError(EarmarkError):
    """Another program (dvc, prefect, bentoml …) failed or is missing."""

    exit_code = 7


class FeedbackError(EarmarkError):
    """A listening history cannot be read or kept, or there is too little of it for what was asked."""

    exit_code = 8


class GateError(EarmarkError):
    """A model does not pass the gates of params.yaml, so it is not promoted."""

    exit_code = 9
