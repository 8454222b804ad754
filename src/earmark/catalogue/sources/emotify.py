"""Emotify: 400 excerpts in four genres, and what listeners felt while hearing them.

Layout, as published: ``PATH/emotifymusic/<genre>/<n>.mp3``, n = 1 … 100, and ``PATH/data.csv``. The latter holds what
listeners felt, is feedback, and not read here: `earmark.feedback.sources.emotify`.

Source: A. Aljanaki, F. Wiering, R. C. Veltkamp, "Studying emotion induced by music through a crowdsourcing game",
Information Processing & Management, 2015.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from earmark.catalogue.sources.source import Candidate, Refusal, Source, check_folder, listing, not_laid_out
from earmark.catalogue.sources.walking import beside, top_folder, walk

TABLE, AUDIO = "data.csv", "emotifymusic"


@dataclass(frozen=True)
class EmotifySource(Source):
    """The Emotify data set: PATH holds emotifymusic/."""

    name: ClassVar[str] = "emotify"
    licence: ClassVar[str | None] = "non-commercial use only (the recordings are Magnatune's)"
    citation: ClassVar[str | None] = (
        "A. Aljanaki, F. Wiering, R. C. Veltkamp: Studying emotion induced by music through a crowdsourcing game. "
        "Information Processing & Management, 2015."
    )
    expects: ClassVar[str] = f"The folder that holds {AUDIO}/<genre>/<n>.mp3, as published."

    def describe(self) -> str:
        """What this is, in one line."""
        return f"the Emotify data set in {self.path}"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every entry of ``emotifymusic/``, and as ignored what else lies beside it.

        Raises:
            CatalogueError: The folder is missing, or lacks emotifymusic/.
        """
        check_folder(self.path)
        if not (self.path / AUDIO).is_dir():
            raise not_laid_out(self, found=listing(self.path))
        for entry in walk(self.path / AUDIO):
            if isinstance(entry, Refusal):
                yield entry
                continue
            file, path = entry
            yield Candidate(file, path, genre=top_folder(path))
        yield from beside(self.path, self.path / AUDIO, [self.path / TABLE])
