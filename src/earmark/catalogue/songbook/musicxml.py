"""MusicXML, plain or compressed, to a `Score`: pitch and time only.

A reader of its own because music21 builds a full object for every slur and needs up to three seconds a movement; the
tests hold the two against each other. Follows the MusicXML 4.0 reference (W3C): ``<backup>`` and ``<forward>`` move the
cursor, ``<chord/>`` shares the onset before it, ``<duration>`` counts ``<divisions>`` of a quarter note. Repeats are
played once; grace notes and cues are left out.
"""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from earmark.catalogue.songbook.score import (
    TOLERANCE_QUARTERS,
    Note,
    Score,
    UnusableScore,
    beat_quarters,
    check,
    join_ties,
)

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass
class _Measure:
    """One measure of one part; note onsets count from its beginning."""

    length: float
    notes: list[tuple[Note, bool]]


@dataclass
class _Cursor:
    """What a part carries from measure to measure."""

    divisions: float = 1.0
    semitones: int = 0
    beat: float | None = None
    bar: float | None = None
    tied: set[int] = field(default_factory=set)
    measures: list[_Measure] = field(default_factory=list)


def read_musicxml(path: Path) -> Score:
    """Read ``path`` (.xml, .musicxml, or .mxl).

    Raises:
        UnusableScore: Not MusicXML, parts that do not fit together, rights reserved, or too little music.
    """
    root = _root(path)
    if root.tag != "score-partwise":
        raise UnusableScore("malformed", f"the root element is <{root.tag}>, and only <score-partwise> is read")
    _check_rights(root)
    parts = [_part(element) for element in root.findall("part")]
    starts, length = _starts(parts)
    voices = (_voice(part, at) for part, at in zip(parts, starts, strict=True))
    sounding = tuple(voice for voice in voices if voice)
    if not sounding:
        raise UnusableScore("malformed", "there is no note in it")
    first = next((part for part in parts if part.beat is not None and part.bar is not None), None)
    beat, bar = (first.beat or 1.0, first.bar or 4.0) if first else (1.0, 4.0)
    opening = parts[0].measures[0].length
    return check(
        Score(
            parts=sounding,
            beat=beat,
            pickup=opening if opening < bar - TOLERANCE_QUARTERS else 0.0,
            length=length,
        )
    )


def _root(path: Path) -> Element:
    try:
        content = path.read_bytes()
        if path.suffix == ".mxl":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
                files = [entry.get("full-path", "") for entry in container.iter() if entry.tag.endswith("rootfile")]
                content = archive.read(files[0])
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, zipfile.BadZipFile, KeyError, IndexError) as error:
        raise UnusableScore("malformed", f"not well-formed MusicXML: {error}") from None


def _check_rights(root: Element) -> None:
    for rights in root.findall("identification/rights"):
        claim = (rights.text or "").strip()
        if any(letter.isalnum() for letter in claim.casefold().replace("copyright", "")):
            raise UnusableScore("rights", f"the file claims rights: {' '.join(claim.split())}")


def _part(element: Element) -> _Cursor:
    cursor = _Cursor()
    for measure in element.findall("measure"):
        cursor.measures.append(_measure(measure, cursor))
    if not cursor.measures:
        raise UnusableScore("malformed", f"part {element.get('id')} has no measure")
    return cursor


def _measure(element: Element, cursor: _Cursor) -> _Measure:
    now = length = onset = 0.0
    notes: list[tuple[Note, bool]] = []
    for child in element:
        if child.tag == "attributes":
            _attributes(child, cursor)
            continue
        if child.tag not in ("note", "backup", "forward"):
            continue
        if child.find("grace") is not None or child.find("cue") is not None:
            continue
        duration = _number(child.findtext("duration"), "duration") / cursor.divisions
        if child.tag == "backup":
            now = max(0.0, now - duration)
            continue
        if child.find("chord") is None:
            onset, now = now, now + duration
        length = max(length, now)
        pitch = child.find("pitch")
        if pitch is not None and duration > 0:
            kinds = {tie.get("type") for tie in [*child.findall("tie"), *child.findall("notations/tied")]}
            semitone = _pitch(pitch) + cursor.semitones
            # some files mark only where a tie begins: then the next note of that pitch, if it follows at once, ends it
            continues = "stop" in kinds or semitone in cursor.tied
            cursor.tied = (cursor.tied | {semitone}) if "start" in kinds else (cursor.tied - {semitone})
            notes.append((Note(onset, duration, semitone), continues))
    return _Measure(length, notes)


def _attributes(element: Element, cursor: _Cursor) -> None:
    if (divisions := element.findtext("divisions")) is not None:
        cursor.divisions = _number(divisions, "divisions")
        if cursor.divisions <= 0:
            raise UnusableScore("malformed", f"{divisions} divisions of a quarter note")
    if (transpose := element.find("transpose")) is not None:
        octaves = _number(transpose.findtext("octave-change", "0"), "octave-change")
        cursor.semitones = int(_number(transpose.findtext("chromatic", "0"), "chromatic") + 12 * octaves)
    time = element.find("time")
    if time is not None and cursor.beat is None and time.find("beats") is not None:
        beats = int(_number(time.findtext("beats"), "beats"))
        beat_type = int(_number(time.findtext("beat-type"), "beat-type"))
        cursor.beat = beat_quarters(beats, beat_type, cut=time.get("symbol") == "cut")
        cursor.bar = 4.0 * beats / beat_type


def _pitch(element: Element) -> int:
    step = (element.findtext("step") or "").strip()
    if step not in _STEPS:
        raise UnusableScore("malformed", f"a note has the step {step!r}")
    octave = _number(element.findtext("octave"), "octave")
    return round(12 * (octave + 1) + _STEPS[step] + _number(element.findtext("alter", "0"), "alter"))


def _number(text: str | None, name: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise UnusableScore("malformed", f"<{name}> is {text!r}, where a number belongs") from None


def _starts(parts: list[_Cursor]) -> tuple[list[list[float]], float]:
    """Where each measure of each part begins, and the length of the piece, in quarter notes.

    Parts of one length each follow their own barlines (early music has them where the words need them). Parts that do
    not add up, but have as many measures, were filled carelessly, mostly with rests of a wrong length: there the
    longest part that sounds says where a measure ends.
    """
    if not parts:
        raise UnusableScore("malformed", "there is no part in it")
    totals = [sum(measure.length for measure in part.measures) for part in parts]
    if max(totals) - min(totals) < TOLERANCE_QUARTERS * max(totals):
        return [_running([measure.length for measure in part.measures]) for part in parts], max(totals)
    if len({len(part.measures) for part in parts}) > 1:
        found = ", ".join(f"{total:g}" for total in totals)
        raise UnusableScore("malformed", f"its parts do not fit together: they last {found} quarter notes")
    columns = zip(*(part.measures for part in parts), strict=True)
    longest = [
        max((measure.length for measure in column if measure.notes), default=min(one.length for one in column))
        for column in columns
    ]
    return [_running(longest)] * len(parts), sum(longest)


def _running(lengths: list[float]) -> list[float]:
    starts, now = [], 0.0
    for length in lengths:
        starts.append(now)
        now += length
    return starts


def _voice(part: _Cursor, starts: list[float]) -> tuple[Note, ...]:
    return join_ties(
        [
            (Note(at + note.onset, note.duration, note.pitch), continues)
            for at, measure in zip(starts, part.measures, strict=True)
            for note, continues in measure.notes
        ]
    )
