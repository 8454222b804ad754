"""Which recordings may be copied to others, by what their sources say of the licence.

Only what is surely allowed is: public domain, CC0, and Creative Commons' Attribution with or without ShareAlike, where
there is a name to give. Whoever forbids commercial use or changed copies (an excerpt is one) is not asked twice, and
what cannot be understood counts as forbidden.
"""

import re

_FORBIDS = re.compile(
    r"non ?-?commercial|\bnc\b|no ?-?deriv|\bnd\b|\bno\b|\bnot\b|\bonly\b|\bpersonal\b|\bresearch\b|reserved|"
    r"\bsampling\b|\blimited\b|permission"
)
_VERSION = r"( \d\.\d)?( international| unported| generic| united states)?( license)?"
_FREE = re.compile(
    r"(the )?public domain( mark)?( 1\.0)?( universal)?( dedication)?|"
    r"(cc ?0|cc zero|creative commons zero)( 1\.0)?( universal)?( public domain dedication)?( license)?"
)
_WITH_NAME = re.compile(rf"((cc|creative commons) (by|attribution)|attribution)( sa| share ?alike)?{_VERSION}")
_ADDRESS_FREE = re.compile(r"https?://creativecommons\.org/publicdomain/(zero|mark)/1\.0/?[a-z./]*")
_ADDRESS_WITH_NAME = re.compile(r"https?://creativecommons\.org/licenses/by(-sa)?/\d\.\d/?[a-z./]*")

# A recording that earmark made itself, of a work that nobody owns.
_SONGBOOK, _SONGBOOKS = "songbook", "composition in the public domain;"


def may_be_copied(licence: str | None, *, artist: str | None, source: str = "") -> bool:
    """Whether an excerpt may be given to anybody.

    Args:
        licence: As ``Track.licence``; with an address in brackets behind it, both have to allow it.
        artist: Who has to be named, if anybody is known.
        source: As ``Track.source``.
    """
    said = " ".join((licence or "").casefold().replace("licence", "license").split())
    if source == _SONGBOOK and said.startswith(_SONGBOOKS):
        return True
    if not said or _FORBIDS.search(said):
        return False
    words, _, address = said.partition(" (")
    return all(_allows(each, artist) for each in (words, address.removesuffix(")")) if each)


def _allows(said: str, artist: str | None) -> bool:
    if said.startswith("http"):
        return bool(_ADDRESS_FREE.fullmatch(said) or (artist and _ADDRESS_WITH_NAME.fullmatch(said)))
    words = said.replace("-", " ")
    return bool(_FREE.fullmatch(words) or (artist and _WITH_NAME.fullmatch(words)))
