"""What labelling did, for reading: how much matched by what, what did not and why, and what to do next."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from earmark.catalogue.labels.matching import MATCHED

MATCHES = "matches.csv"
FILLED = ("isrc", "title", "artist", "album", "genre")
_SHOWN = 3


@dataclass
class LabelResult:
    """The outcome of one run.

    Attributes:
        name: The collection.
        folder: Where it lies.
        library: The library, in words.
        licence: Of what it says, or None.
        how: Entries by what became of them.
        examples: The first few names of those without a match: (how, reason) → names.
        reasons: How many those are: (how, reason) → number.
        tracks: In the collection.
        labelled: Of those, matched with an entry.
        nameless: Tracks that nothing could match: neither a valid ISRC nor both title and artist.
        filled: How many tracks got an ISRC, a title …, by column; ``tags`` counts those that got a tag.
        without_genre: Matched tracks of which the library knows no genre.
    """

    name: str
    folder: Path
    library: str
    licence: str | None
    tracks: int
    how: Counter[str] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    labelled: int = 0
    nameless: tuple[str, ...] = ()
    filled: Counter[str] = field(default_factory=Counter)
    without_genre: int = 0

    def note(self, how: str, reason: str, name: str) -> None:
        """Count one entry; the first few names of each reason are kept."""
        self.how[how] += 1
        if how not in MATCHED:
            key = (how, _alike(reason))
            self.reasons[key] += 1
            if len(self.examples[key]) < _SHOWN:
                self.examples[key].append(name)

    def summary(self) -> str:
        """A short text for people."""
        matched = sum(self.how[how] for how in MATCHED)
        lines = [
            f"{self.name}: {self.how.total()} entries of {self.library}; {matched} are {self.labelled} of "
            f"{self.tracks} tracks."
        ]
        lines += [f"  {self.how[how]:6}  matched by {_SAID[how]}" for how in MATCHED if self.how[how]]
        for (how, reason), count in sorted(self.reasons.items(), key=lambda item: (-item[1], item[0])):
            lines.append(f"  {count:6}  {_SAID[how]}: {reason}")
            lines.append(f"          {_names(self.examples[how, reason], count)}")
        if unmatched := self.tracks - self.labelled:
            lines.append(f"{unmatched} tracks are none of the library's songs.")
        if self.nameless:
            lines.append(
                f"{len(self.nameless)} tracks have neither a valid ISRC nor both title and artist, so nothing could "
                f"match them: {_names(list(self.nameless[:_SHOWN]), len(self.nameless))}."
            )
        written = [f"{column} of {self.filled[column]}" for column in (*FILLED, "tags") if self.filled[column]]
        lines.append(f"Written, in tracks: {', '.join(written)}." if written else "Nothing new was learnt from it.")
        if self.without_genre:
            lines.append(f"Of {self.without_genre} matched tracks the library knows no genre.")
        lines.append(f"Every entry with its track or reason: {self.folder / MATCHES}")
        if self.licence:
            lines.append(f"Licence: {self.licence}")
        lines.append("Next: dvc repro")
        return "\n".join(lines)


_SAID = {
    "isrc": "ISRC",
    "title_artist_duration": "title, artist and duration",
    "title_artist": "title and artist (the library tells no duration)",
    "none": "not matched",
    "ambiguous": "ambiguous, not matched",
    "conflict": "in conflict, not matched",
    "refused": "refused",
}


def _alike(reason: str) -> str:
    """Reasons that differ in names and numbers alone are counted together."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\b[A-Z]{2}[A-Z0-9]{3}\d{7}\b|\b\d[\d.]*", "…", reason)


def _names(names: list[str], count: int) -> str:
    shown = ", ".join(name if name.isprintable() else repr(name) for name in names)
    return shown + (f" and {count - len(names)} more" if count > len(names) else "")
