"""The watched folder: exports that people put there, by source, and where their rows do not say who, by listener.

::

    inbox/spotify/endsong_0.json             files, folders or archives whose rows name their listeners
    inbox/spotify/listener=anna/             everything in here is Anna's
    inbox/apple-music/listener=ben/          and here Ben's

What lies there stays; an export that was imported to its end is passed over the next time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.errors import FeedbackError
from earmark.feedback.sources.reading import fits
from earmark.feedback.sources.registry import feedback_source_names, load_feedback_source
from earmark.feedback.sources.source import FeedbackSource

_LISTENER = "listener="


@dataclass(frozen=True)
class Waiting:
    """One export.

    Attributes:
        name: Of the source.
        path: The file or folder.
        listener: Whose it is, or None.
        number: Counted within the source; logs and tables have this instead of names.
    """

    name: str
    path: Path
    listener: str | None
    number: int

    @property
    def shown(self) -> str:
        """What it is called where others read it: the listener's name is not in it."""
        return f"{self.name}/{self.number}"

    def without_name(self, text: str) -> str:
        """``text``, in which the path and those of files may stand, without the listener's name."""
        if self.listener is None:
            return text
        text = text.replace(self.path.name, f"{_LISTENER}…")
        for name in re.findall(r"[^\W_]{3,}", self.listener):
            text = re.sub(re.escape(name), "…", text, flags=re.IGNORECASE)
        return text

    def source(self) -> FeedbackSource:
        """What reads it."""
        return load_feedback_source(self.name)(self.path)


def waiting(inbox: Path) -> Iterator[Waiting]:
    """Every export in the watched folder ``inbox``, in order of names; nothing where there is no such folder.

    Raises:
        FeedbackError: A folder in it is called like no source.
    """
    if not inbox.is_dir():
        return
    folders = sorted(path for path in inbox.iterdir() if not _hidden(path))
    if strangers := [path.name for path in folders if not path.is_dir() or path.name not in feedback_source_names()]:
        shown = [f"{_LISTENER}…" if name.startswith(_LISTENER) else name for name in strangers[:3]]
        raise FeedbackError(
            f"{inbox} holds {', '.join(shown)}, and should hold folders called like sources: "
            f"{', '.join(feedback_source_names())}. Put exports into the folder of their source."
        )
    for folder in folders:
        there = sorted(path for path in folder.iterdir() if not _hidden(path))
        for number, path in enumerate(there, start=1):
            whose = path.name.removeprefix(_LISTENER) if path.is_dir() and path.name.startswith(_LISTENER) else None
            yield Waiting(folder.name, path, whose, number)


def _hidden(path: Path) -> bool:
    """Whether it is no export, by its name; the log of a portable player is one, and called so."""
    return path.name.startswith(".") and not fits(path.name, ".scrobbler*.log")
