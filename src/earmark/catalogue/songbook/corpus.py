"""Which pieces the songbook is drawn from: eight styles of music21's corpus, labelled by the corpus itself.

The label is where the score stands (Bach's chorales, Monteverdi's madrigals, the trecento folder, the quartets) or what
its editor wrote into it (field ``R:`` of Ryan's Mammoth Collection). Folders whose licence reserves rights (Palestrina)
or forbids commercial use (Essen) are not touched, Roman-numeral analyses are no scores.
"""

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from earmark.catalogue.songbook.abc import read_abc_header
from earmark.errors import CatalogueError

STYLES = ("chorale", "hornpipe", "jig", "madrigal", "reel", "strathspey", "string quartet", "trecento")
_METRES_OF_DANCES = {"hornpipe": ("2/4", "C|", "C", "4/4"), "jig": ("6/8",), "reel": ("2/4", "C|", "C", "4/4")}
_METRES_OF_DANCES["strathspey"] = _METRES_OF_DANCES["reel"]
_QUARTETS = {"beethoven": "Ludwig van Beethoven", "haydn": "Joseph Haydn", "mozart": "Wolfgang Amadeus Mozart"}
_NO_QUARTETS = ("mozart/k545",)  # a piano sonata
_LICENCE = "composition in the public domain; encoding distributed with music21 (see its corpus/license.txt)"

# Madrigals that are parts of one poem, set one after the other: the number of the part, and of the first part.
_PARTS_OF_MADRIGALS = {"3.9": "3.8", "3.10": "3.8", "3.16": "3.15", "3.17": "3.15", "3.20": "3.19", "4.7": "4.6"}

# Volumes of "Polyphonic Music of the Fourteenth Century" that hold one composer, and names in the other volumes' files.
_COMPOSERS = {
    "PMFC_01": "Philippe de Vitry",
    "PMFC_04": "Francesco Landini",
    "PMFC_24": "Johannes Ciconia",
    "Jacopo": "Jacopo da Bologna",
    "Giovanni": "Giovanni da Cascia",
    "Piero": "Magister Piero",
    "Gherardello": "Gherardello da Firenze",
    "Gratiosus": "Gratiosus da Padova",
    "Lorenzo": "Lorenzo da Firenze",
    "Bartholus": "Bartolo da Firenze",
    "Egardus": "Egardus",
    "Perrinet": "Perrinet",
}


@dataclass(frozen=True)
class Piece:
    """One score that may enter.

    Attributes:
        piece_id: Stable name, fit for a file: ``reel/AcaciaReel``.
        path: Of the score, below the corpus folder, with forward slashes.
        style: The label.
        title: As a reader would name it.
        artist: The composer, or "Traditional".
        work: Names a larger work that the piece is a part of (an opus, a cycle of madrigals), or None.
        names: Titles under which the same tune may stand elsewhere; empty where titles are no names ("Gloria").
        licence: What the corpus says.
    """

    piece_id: str
    path: str
    style: str
    title: str
    artist: str
    work: str | None = None
    names: tuple[str, ...] = ()
    licence: str = _LICENCE


def corpus_folder() -> Path:
    """Where music21 keeps its scores; found without importing it, which takes seconds."""
    return _installed("music21", "corpus")


def soundfont() -> Path:
    """TimGM6mb, the General MIDI soundfont that pretty_midi carries (6 MB)."""
    return _installed("pretty_midi", "TimGM6mb.sf2")


def _installed(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    raise CatalogueError(
        f"The songbook needs {name} of the package {package}, which is not there "
        f"(looked in {', '.join(map(str, folders)) or 'no folder'}). "
        f"Some distributions strip it: install {package} again from PyPI."
    )


def candidates(seed: int) -> dict[str, list[Piece]]:
    """Every piece that may enter, by style, in the order of trial: by a hash of ``seed`` and piece_id."""
    corpus = corpus_folder()
    pieces = [*_chorales(corpus), *_madrigals(corpus), *_trecento(corpus), *_quartets(corpus), *_dances(corpus)]

    def rank(piece: Piece) -> str:
        return hashlib.sha256(f"{seed} {piece.piece_id}".encode()).hexdigest()

    return {style: sorted((piece for piece in pieces if piece.style == style), key=rank) for style in STYLES}


def _chorales(corpus: Path) -> list[Piece]:
    """The chorales of Riemenschneider's edition, whose titles music21 lists; each title names a hymn tune."""
    from music21.corpus.chorales import ChoraleListRKBWV  # slow, so only here

    titles = {str(entry["bwv"]): str(entry["title"]) for entry in ChoraleListRKBWV().byBWV.values()}
    return [
        Piece(
            piece_id=f"chorale/bwv{bwv}",
            path=f"bach/bwv{bwv}.mxl",
            style="chorale",
            title=f"{title} (BWV {bwv})",
            artist="Johann Sebastian Bach",
            names=(title,),
        )
        for bwv, title in titles.items()
        if (corpus / f"bach/bwv{bwv}.mxl").is_file()
    ]


def _madrigals(corpus: Path) -> list[Piece]:
    pieces = []
    for path in sorted((corpus / "monteverdi").glob("madrigal.*.mxl")):
        number = path.stem.removeprefix("madrigal.")
        if not re.fullmatch(r"[34]\.\d+", number):
            continue  # an older copy of another file; or book five, scanned from an edition of 2003 that claims rights
        analysis = path.with_suffix(".rntxt")  # the scores' own titles are misread; those of the analyses are right
        text = analysis.read_text(encoding="utf-8", errors="replace") if analysis.is_file() else ""
        title = next(
            (line[6:].strip() for line in text.splitlines() if line.startswith("Title:")), f"Madrigal {number}"
        )
        work = f"monteverdi-{_PARTS_OF_MADRIGALS.get(number, number)}"
        at = path.relative_to(corpus).as_posix()
        pieces.append(Piece(f"madrigal/{number}", at, "madrigal", f"{title} ({number})", "Claudio Monteverdi", work))
    return pieces


def _trecento(corpus: Path) -> list[Piece]:
    pieces = []
    for path in sorted((corpus / "trecento").iterdir()):
        if path.suffix not in (".xml", ".mxl") or path.stem.endswith("_bak"):
            continue
        artist = next((name for sign, name in _COMPOSERS.items() if sign in path.stem), "Anonymous")
        title = _trecento_title(path.stem)
        # One word ("Gloria") is a kind of piece; what stands after it tells two of the kind apart.
        names = (title,) if len(title.split()) > 1 and not re.search(r"\d|Ciconia", title) else ()
        at = path.relative_to(corpus).as_posix()
        piece_id = f"trecento/{_slug(path.stem)}-{path.suffix[1:]}"
        pieces.append(Piece(piece_id, at, "trecento", title, artist, names=names))
    return pieces


def _trecento_title(stem: str) -> str:
    """``PMFC_06-Jacopo-03a-Di_Novo`` → ``Di Novo``, ``PMFC_12_5-Gloria PMFC 12.5`` → ``Gloria PMFC 12.5``."""
    bare = re.sub(r"^PMFC_\d+[-_ ]*", "", stem)
    bare = re.sub(r"^(Jacopo|Giovanni|Piero)[-_ ]*", "", bare)
    bare = re.sub(r"^\d+[a-z]?[-_ ]+", "", bare)
    return " ".join(re.sub(r"[-_]+", " ", bare).split())


def _quartets(corpus: Path) -> list[Piece]:
    pieces = []
    for folder, composer in _QUARTETS.items():
        for path in sorted((corpus / folder).rglob("*.mxl")):
            at = path.relative_to(corpus).as_posix()
            if at.startswith(_NO_QUARTETS):
                continue
            inside = path.relative_to(corpus / folder).with_suffix("")
            number = inside.parts[0].replace("opus", "Op. ").replace("no", " No. ").replace("k", "K. ")
            movement = f", {inside.name.replace('movement', 'movement ')}" if len(inside.parts) > 1 else ""
            piece_id = f"string quartet/{folder}-{'-'.join(inside.parts)}"
            title = f"String Quartet {number}{movement}"
            pieces.append(Piece(piece_id, at, "string quartet", title, composer, work=f"{folder}-{inside.parts[0]}"))
    return pieces


def _dances(corpus: Path) -> list[Piece]:
    pieces = []
    for path in sorted((corpus / "ryansMammoth").glob("*.abc")):
        header = read_abc_header(path)
        dance = " ".join(header.get("R", [""])[0].lower().split())
        metre = header.get("M", [""])[0].replace(" ", "")
        if metre not in _METRES_OF_DANCES.get(dance, ()):
            continue  # another dance, or a rarer kind of it: a slip jig, a straight jig
        names = tuple(header.get("T", []))
        title = re.sub(r"\s+--.*", "", names[0]).strip(' "').title().replace("'S", "'s") if names else path.stem
        artist = next((name for name in header.get("C", []) if name), "Traditional")
        at = path.relative_to(corpus).as_posix()
        pieces.append(Piece(f"{dance}/{_slug(path.stem)}", at, dance, title, artist, names=names))
    return pieces


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
