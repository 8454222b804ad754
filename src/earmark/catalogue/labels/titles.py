"""Names made comparable: one song's title and artist are written in many ways, and two recordings must stay two.

What does not count: capitals, accents, punctuation, "&" for "and", a leading "the", and what a service appends
without meaning another recording: "(feat. …)", "- Remastered 2011", "(Mono)", "(Album Version)", "(Explicit)", "(Bonus
Track)". Everything else in brackets or behind a dash stays part of the title: "(Live)", "(Acoustic)", "- Radio Edit",
"(Someone's Remix)", "(Instrumental)" and "(Karaoke)" are other recordings, and so is whatever nobody thought of.

Every script survives: only marks that writers leave out (Latin, Greek and Cyrillic accents, Arabic and Hebrew vowel
points) are dropped; the marks of Japanese, Thai or Hindi are letters' parts. A name of signs alone ("???", "+") is
compared as it is.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_DROPPED_MARKS = ((0x0300, 0x036F), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670))
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i"})
_APOSTROPHES = re.compile("['’‘`´ʼʻ′＇]")
_PIECES = re.compile(r"[(\[{【（「『]([^()\[\]{}【】（）「」『』]*)[)\]}】）」』]|([^()\[\]{}【】（）「」『』]+)")
_DASHED = re.compile(r"(?:^|\s+)[-–—](?:\s+|$)")
_GUEST = re.compile(r"(?i)(?:^|\s)(?:feat\.|ft\.|featuring\s).*$")
_GUEST_BEHIND = re.compile(r"(?i)\b(?:feat|ft|featuring)\b(?:(?!\s[-–—]\s)[^/;])*")
_HARMLESS = re.compile(
    r"""(?ix) \s* (?:
        (?:\d{4}\s+)? (?:digital(?:ly)?\s+)? re-?master(?:ed|ing)? (?:\s+(?:version|edition|in|\d{4}))*
      | (?:album|single|original|lp) \s+ version | original \s+ mix
      | mono | stereo | (?:mono|stereo) \s+ (?:mix|version)
      | (?:explicit|clean) (?:\s+version)?
      | bonus \s+ track
    ) \s* """
)
_ARTISTS = re.compile(r"(?i)\s*(?:[,;/|+&×·、]|\b(?:feat|ft)\b\.?|\b(?:featuring|and|und|et|y|vs|x|with|con)\b\.?)\s*")
_NOBODY = frozenset({"", "various artists", "various", "va", "unknown artist", "unknown", "n a", "no artist"})
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}\d{7}")


def isrc_key(text: str | None) -> str | None:
    """An ISRC without hyphens and spaces, in capitals; None for what is none (ISO 3901: CC XXX YY NNNNN)."""
    code = re.sub(r"[\s.\-‐‑–]", "", text or "").upper()
    code = code.removeprefix("ISRC").lstrip(":") if len(code) > 12 else code
    return code if _ISRC.fullmatch(code) else None


def title_key(text: str | None) -> str:
    """What is compared of a title; empty where there is none."""
    if not text:
        return ""
    kept = []
    for piece in _PIECES.finditer(text):
        if piece[1] is not None:
            kept.append(_version(piece[1]))
            continue
        main, *behind = _DASHED.split(piece[2])
        kept += [_GUEST.sub("", main), *map(_version, behind)]
    return plain(" ".join(kept)) or plain(text)


def _version(text: str) -> str:
    """What stands in brackets or behind a dash, without what names no other recording."""
    parts = re.split("[/;,]", _GUEST_BEHIND.sub(" ", text))
    return " ".join(part for part in parts if not _HARMLESS.fullmatch(part))


def artist_keys(names: Iterable[str]) -> frozenset[str]:
    """Each artist who is named, alone and as written together; empty for "Various Artists" and the like."""
    return frozenset(key for name in names for key in _artist_keys(name))


@lru_cache(maxsize=65_536)
def _artist_keys(name: str) -> tuple[str, ...]:
    found = {plain(name), *(plain(part) for part in _ARTISTS.split(name))}
    return tuple(sorted(found - _NOBODY))


def plain(text: str) -> str:
    """Words in small letters with a space between; a leading "the" is dropped unless it is all there is."""
    words = _words(text)
    if words.startswith("the ") and len(words) > 4:
        return words[4:]
    return words or "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _words(text: str) -> str:
    text = _APOSTROPHES.sub("", text).replace("&", " and ")
    if text.isascii():
        return " ".join(re.sub(r"[\W_]+", " ", text.lower()).split())
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_LETTERS)
    kept = (letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in text if not _dropped(letter))
    return " ".join("".join(kept).split())


def _dropped(letter: str) -> bool:
    code = ord(letter)
    return code >= 0x0300 and any(first <= code <= last for first, last in _DROPPED_MARKS)
