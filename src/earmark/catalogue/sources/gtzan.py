"""GTZAN: 1,000 excerpts of 30 s in ten genres, and the published split that leaves its faults out.

Layouts: ``PATH/genres/<genre>/<genre>.NNNNN.wav`` (or ``.au``), ``PATH/Data/genres_original/…``, or PATH is that folder
itself. One mirror's jazz.00054 is damaged; decoding refuses it.

It names no artists, so each track is a group of its own: a split that earmark draws, or any random one, puts one artist
and even one recording on both sides, worth about 14 points of accuracy that nobody has earned. The fault-filtered split
(443, 197 and 290 tracks) avoids that: give the folder with its three lists, whose lines read ``blues/blues.00029.wav``,
whatever the suffix of the files here. A track in none of them is ignored.

Sources: G. Tzanetakis, P. Cook, "Musical genre classification of audio signals", IEEE Transactions on Speech and Audio
Processing 10(5), 2002. The split: C. Kereliuk, B. L. Sturm, J. Larsen, "Deep learning and music adversaries", IEEE
Transactions on Multimedia 17(11), 2015. The faults: B. L. Sturm, "The state of the art ten years after a state of the
art", Journal of New Music Research 43(2), 2014.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar

from earmark.catalogue.sources.matching import Listed, listed, matched
from earmark.catalogue.sources.source import Candidate, Refusal, Source, check_folder, listing, not_laid_out
from earmark.catalogue.sources.walking import beside, claims_audio, top_folder, walk
from earmark.errors import CatalogueError

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
LISTS = {"train_filtered.txt": "train", "valid_filtered.txt": "validation", "test_filtered.txt": "test"}
_LAYOUTS = ("genres", "Data/genres_original", "genres_original", ".")


@dataclass(frozen=True)
class GtzanSource(Source):
    """GTZAN: PATH holds genres/<genre>/ (or Data/genres_original/); no artists, so give --split-lists."""

    split_lists: Path | None = field(
        default=None, metadata={"help": f"The folder with the fault-filtered split's {', '.join(LISTS)}."}
    )

    name: ClassVar[str] = "gtzan"
    rights: ClassVar[str | None] = "none stated; collected without permission of the rights holders, for research"
    citation: ClassVar[str | None] = (
        "G. Tzanetakis, P. Cook: Musical genre classification of audio signals. IEEE Transactions on Speech and Audio "
        "Processing 10(5), 2002. With the split: C. Kereliuk, B. L. Sturm, J. Larsen: Deep learning and music "
        "adversaries. IEEE Transactions on Multimedia 17(11), 2015."
    )
    expects: ClassVar[str] = (
        "The folder that holds genres/<genre>/<genre>.NNNNN.wav (or .au) or Data/genres_original/…, or that folder "
        "itself. It names no artists: without --split-lists every track is a group of its own, and any split leaks."
    )

    def describe(self) -> str:
        """What this is, in one line."""
        said = "fault-filtered split" if self.split_lists else "no artists known, so any split of it leaks them"
        return f"GTZAN in {self.path} ({said})"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every file, and every line of the lists where they are given.

        Raises:
            CatalogueError: The folder is missing or holds no genres; or a list is missing.
        """
        check_folder(self.path)
        audio = next((self.path / layout for layout in _LAYOUTS if _holds_genres(self.path / layout)), None)
        if audio is None:
            raise not_laid_out(self, found=listing(self.path))
        if self.split_lists is None:
            yield from self._all(audio)
            lists = []
        else:
            lists = [self.split_lists / name for name in LISTS]
            if missing := [file.name for file in lists if not file.is_file()]:
                raise CatalogueError(
                    f"{self.split_lists} lacks {', '.join(missing)}. --split-lists needs the folder with all three "
                    f"lists of the fault-filtered split: {', '.join(LISTS)}."
                )
            yield from matched(_read_lists(lists), audio, key=_key, unlisted=_in_no_list, tables=lists)
        yield from beside(self.path, audio, lists)

    def _all(self, audio: Path) -> Iterator[Candidate | Refusal]:
        for entry in walk(audio):
            yield entry if isinstance(entry, Refusal) else Candidate(*entry, genre=_genre(entry[1]))


def _holds_genres(folder: Path) -> bool:
    return any((folder / genre).is_dir() for genre in GENRES)


def _genre(path: str) -> str | None:
    return (top_folder(path) or "").replace("hip-hop", "hiphop") or None


def _key(path: str) -> str:
    """By which a line and a file are the same track: ``hiphop/hiphop.00012``, whatever suffix, spelling or folder."""
    name = PurePosixPath(path.replace("\\", "/").replace("hip-hop", "hiphop")).name
    number = PurePosixPath(name).stem if claims_audio(name) else name
    return f"{number.partition('.')[0]}/{number}"


def _read_lists(lists: list[Path]) -> Iterator[Listed]:
    for file in lists:
        for number, line in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
            if path := line.strip():
                key = _key(path)
                yield listed(f"{file.name}:{number}", key, genre=_genre(key), split=LISTS[file.name])


def _in_no_list(path: str) -> Refusal:
    return Refusal(path, "ignored", "in none of the lists of the fault-filtered split")
