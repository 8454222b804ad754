"""ABC notation to a `Score`: as much of the standard (abcnotation.com, version 2.1) as printed dance tunes use.

Read are the header fields T, C, M, L, R and K, notes with accidentals, octaves and lengths, broken rhythm, tuplets,
ties, chords and rests. Repeats and numbered endings are played once, as printed; grace notes, slurs, fingerings and
ornaments are left out. Anything else is a reason to refuse the tune, so that nothing is misread silently.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from earmark.catalogue.songbook.score import Note, Score, UnusableScore, beat_quarters, check, join_ties

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
_SHARPS_OF_MAJOR = {"C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5, "F": -1}
_SHARPS_OF_MODE = {
    "": 0,
    "maj": 0,
    "ion": 0,
    "mix": -1,
    "dor": -2,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "phr": -4,
    "loc": -5,
    "lyd": 1,
}
_TUPLETS = {2: 3, 3: 2, 4: 3, 5: 2, 6: 2, 7: 2, 8: 3, 9: 2}  # this many in the time of that many

_TOKEN = re.compile(
    r"""(?P<text>"[^"]*"|![^!]*!|\{[^}]*\})            # fingerings, ornaments, grace notes
      | \[(?P<field>[A-Z]):(?P<value>[^\]]*)\]          # a field in the line
      | \((?P<tuplet>[2-9])(?::(?P<time>\d)?(?::(?P<many>\d)?)?)?
      | (?P<bar>\[\||[|:]+\]?)
      | \[[1-9]|(?<![^\s|:])[1-9](?:[,-][1-9])*        # the number of an ending
      | (?P<chord>\[[^\]|]*\])(?P<chord_length>\d*/*\d*)
      | (?P<accidental>\^\^|\^|__|_|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>\d*/*\d*)
      | [zx](?P<rest>\d*/*\d*)
      | (?P<broken>>+|<+)
      | (?P<tie>-)
      | (?P<ignored>[\s()\\.~`$*y]|[H-Wh-w])             # slurs, white space, bowings, decorations
    """,
    re.VERBOSE,
)
_CHORD_NOTE = re.compile(r"(?P<accidental>\^\^|\^|__|_|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>\d*/*\d*)")
_FIELD = re.compile(r"^([A-Za-z]):(.*)$")


def read_abc_header(path: Path) -> dict[str, list[str]]:
    """Fields before the music, by letter, comments removed: ``{"T": ["Acacia -- Reel"], "R": ["reel"], …}``."""
    fields: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _FIELD.match(_uncommented(line)):
            fields.setdefault(match[1], []).append(match[2].strip())
            if match[1] == "K":
                break
    return fields


def read_abc(path: Path) -> Score:
    """Read the one tune in ``path``.

    Raises:
        UnusableScore: A sign, key or metre that this reader does not know, or too little music.
    """
    header = read_abc_header(path)
    metre = header.get("M", ["4/4"])[0]
    beats, beat_type, cut = _metre(metre)
    unit = _unit(header.get("L", [""])[0], beats, beat_type)
    tune = _Tune(unit=unit, sharps=_sharps(header.get("K", [""])[0]))
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in _body(lines):
        if match := _FIELD.match(line):
            tune.set_field(match[1], match[2].strip())
        else:
            tune.read_line(line)
    notes = join_ties([(Note(float(e.onset), float(e.duration), e.pitch), e.continues) for e in tune.events])
    bar = Fraction(4 * beats, beat_type)
    return check(
        Score(
            parts=(notes,),
            beat=beat_quarters(beats, beat_type, cut=cut),
            pickup=float(tune.first_bar) if tune.first_bar < bar else 0.0,
            length=float(tune.now),
        )
    )


@dataclass
class _Event:
    """A note on its way: broken rhythm may still change its length."""

    onset: Fraction
    duration: Fraction
    pitch: int
    continues: bool


class _Tune:
    """The state that the signs of a tune change one after the other. Time in quarter notes, as exact fractions."""

    def __init__(self, *, unit: Fraction, sharps: int) -> None:
        self.unit, self.sharps = unit, sharps
        self.now = Fraction(0)
        self.first_bar = Fraction(0)
        self.events: list[_Event] = []
        self._in_bar: dict[tuple[str, int], int] = {}
        self._tuplet: tuple[Fraction, int] = (Fraction(1), 0)  # factor, notes left
        self._broken = Fraction(1)  # factor for the next note
        self._last: tuple[Fraction, int] = (
            Fraction(0),
            0,
        )  # duration and number of the events of the last note or chord
        self._tied = False

    def set_field(self, letter: str, value: str) -> None:
        if letter == "K":
            self.sharps, self._in_bar = _sharps(value), {}
        elif letter == "L":
            self.unit = _fraction(value) * 4

    def read_line(self, line: str) -> None:
        at = 0
        while at < len(line):
            match = _TOKEN.match(line, at)
            if match is None:
                raise UnusableScore(
                    "malformed", f"the sign {line[at]!r} in {line.strip()[:60]!r} is not known to this reader"
                )
            self._take(match)
            at = match.end()

    def _take(self, match: re.Match[str]) -> None:
        if match["field"]:
            self.set_field(match["field"], match["value"].strip())
        elif match["tuplet"]:
            notes = int(match["tuplet"])
            time = int(match["time"] or _TUPLETS[notes])
            self._tuplet = (Fraction(time, notes), int(match["many"] or notes))
        elif match["bar"]:
            self._in_bar = {}
            self.first_bar = self.first_bar or self.now
        elif match["chord"]:
            first = [(self._pitch(note), note["length"]) for note in _CHORD_NOTE.finditer(match["chord"])]
            if first:
                length = _length(first[0][1]) * _length(match["chord_length"])
                self._sound([pitch for pitch, _ in first], length)
        elif match["letter"]:
            self._sound([self._pitch(match)], _length(match["length"]))
        elif match["rest"] is not None:
            self._sound([], _length(match["rest"]))
        elif match["broken"]:
            self._break(match["broken"])
        elif match["tie"]:
            self._tied = True

    def _pitch(self, match: re.Match[str]) -> int:
        letter = match["letter"]
        octave = (5 if letter.islower() else 4) + match["octave"].count("'") - match["octave"].count(",")
        step = letter.upper()
        if match["accidental"]:
            self._in_bar[step, octave] = _ACCIDENTALS[match["accidental"]]
        alter = self._in_bar.get((step, octave), _in_key(step, self.sharps))
        return 12 * (octave + 1) + _STEPS[step] + alter

    def _sound(self, pitches: list[int], units: Fraction) -> None:
        factor, left = self._tuplet
        duration = units * self.unit * self._broken * (factor if left else 1)
        self._tuplet = (factor, max(0, left - 1))
        self._broken = Fraction(1)
        self.events += [_Event(self.now, duration, pitch, self._tied) for pitch in pitches]
        self._tied = False
        self._last = (duration, len(pitches))
        self.now += duration

    def _break(self, signs: str) -> None:
        """``a>b`` lengthens a by a half and halves b; ``a<b`` the other way round; each further sign halves again."""
        short = Fraction(1, 2 ** len(signs))
        before, self._broken = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        duration, count = self._last
        for event in self.events[len(self.events) - count :]:
            event.duration = duration * before
        self.now += duration * (before - 1)


def _uncommented(line: str) -> str:
    return line.split("%", 1)[0].rstrip()


def _body(lines: list[str]) -> list[str]:
    key = next((at for at, line in enumerate(lines) if line.startswith("K:")), None)
    if key is None:
        raise UnusableScore("malformed", "there is no K: field, with which the music begins")
    return [text for line in lines[key + 1 :] if (text := _uncommented(line))]


def _metre(text: str) -> tuple[int, int, bool]:
    text = text.strip()
    if text in ("C", "C|"):
        return (4, 4, False) if text == "C" else (2, 2, True)
    if match := re.fullmatch(r"(\d+)\s*/\s*(\d+)", text):
        return int(match[1]), int(match[2]), False
    raise UnusableScore("malformed", f"the metre {text!r} is not known to this reader")


def _unit(text: str, beats: int, beat_type: int) -> Fraction:
    if text:
        return _fraction(text) * 4
    return Fraction(1, 2) if Fraction(beats, beat_type) >= Fraction(3, 4) else Fraction(1, 4)


def _fraction(text: str) -> Fraction:
    try:
        return Fraction(text.replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        raise UnusableScore("malformed", f"the note length {text!r} is not a fraction") from None


def _length(text: str) -> Fraction:
    """``3``, ``/``, ``//``, ``3/2``: how many unit lengths."""
    over, slashes, under = re.fullmatch(r"(\d*)(/*)(\d*)", text).groups()  # type: ignore[union-attr]
    if under == "0":
        raise UnusableScore("malformed", f"the note length {text!r} divides by nothing")
    return Fraction(int(over or 1), int(under) if under else 2 ** len(slashes))


def _sharps(key: str) -> int:
    """Number of sharps of a key signature (flats negative): ``D`` → 2, ``Am`` → 0, ``Edor`` → 2."""
    match = re.fullmatch(r"([A-G])([#b]?)\s*([A-Za-z]*)", key)
    mode = "" if match is None or match[3] == "M" else match[3].lower()[:3]
    if match is None or mode not in _SHARPS_OF_MODE:
        raise UnusableScore("malformed", f"the key {key!r} is not known to this reader")
    return _SHARPS_OF_MAJOR[match[1]] + {"": 0, "#": 7, "b": -7}[match[2]] + _SHARPS_OF_MODE[mode]


def _in_key(step: str, sharps: int) -> int:
    if sharps >= 0:
        return int("FCGDAEB".index(step) < sharps)
    return -int("BEADGCF".index(step) < -sharps)
