"""Ballroom: 698 excerpts of 30 s of dance music, by style.

Layout: ``PATH/BallroomData/<style>/*.wav`` (or PATH is BallroomData itself). The three rumba folders stay three genres
here; a taxonomy file can make them one. Names such as ``Albums-Latin_Jam2-05.wav`` tell the album, and nothing tells
the artist, so an album is a group: one band, one studio. At least thirteen recordings are in it twice, most of them
within one album, some under two styles; earmark's search for duplicates finds them.

Source: F. Gouyon, A. Klapuri, S. Dixon, M. Alonso, G. Tzanetakis, C. Uhle, P. Cano, "An experimental comparison of
audio tempo induction algorithms", IEEE Transactions on Audio, Speech and Language Processing 14(5), 2006. The
duplicates: B. L. Sturm, in the README of the beat annotations by F. Krebs et al. (CPJKU/BallroomAnnotations).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from earmark.catalogue.sources.source import Candidate, Refusal, Source, check_folder, listing, not_laid_out
from earmark.catalogue.sources.walking import beside, top_folder, walk

FOLDER = "BallroomData"
_STYLES = ("ChaChaCha", "Jive", "Quickstep", "Samba", "Tango", "Waltz")


@dataclass(frozen=True)
class BallroomSource(Source):
    """The Ballroom data set: PATH holds BallroomData/<style>/*.wav."""

    name: ClassVar[str] = "ballroom"
    rights: ClassVar[str | None] = "none stated; the excerpts were previews of ballroomdancers.com"
    citation: ClassVar[str | None] = (
        "F. Gouyon, A. Klapuri, S. Dixon, M. Alonso, G. Tzanetakis, C. Uhle, P. Cano: An experimental comparison of "
        "audio tempo induction algorithms. IEEE Transactions on Audio, Speech and Language Processing 14(5), 2006."
    )
    expects: ClassVar[str] = f"The folder that holds {FOLDER}/<style>/*.wav, or {FOLDER} itself."

    def describe(self) -> str:
        """What this is, in one line."""
        return f"the Ballroom data set in {self.path}"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every entry of BallroomData, and as ignored what else lies beside it.

        Raises:
            CatalogueError: The folder is missing, or holds no styles.
        """
        check_folder(self.path)
        audio = self.path / FOLDER if (self.path / FOLDER).is_dir() else self.path
        if not any((audio / style).is_dir() for style in _STYLES):
            raise not_laid_out(self, found=listing(self.path))
        for entry in walk(audio):
            if isinstance(entry, Refusal):
                yield entry
                continue
            file, path = entry
            album = re.fullmatch(r"Albums-(.+)-\d+\.\w+", file.name)
            yield Candidate(
                file,
                path,
                genre=top_folder(path),
                album=album[1].replace("_", " ") if album else None,
                group=f"album:{album[1].lower()}" if album else None,
            )
        yield from beside(self.path, audio)
