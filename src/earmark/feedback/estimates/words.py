"""The listeners' words: tags and words of comments, merged into one vocabulary and pruned.

Merged are spellings that differ in capitals, punctuation, spaces and hyphens ("Hip-Hop", "hip hop", "hiphop!") and a
plural with its singular; the spelling that most listeners use is kept. Pruned is what few listeners say, what stands at
almost every track, what is a number, and what speaks of the listener and not of the music ("favourites", "seen live":
Lamere 2008, "Social tagging and music information retrieval", counts these among personal and organisational tags).
"""

import unicodedata
from collections.abc import Mapping

import pandas as pd

OWN_WORDS = ("tag", "comment")  # kinds of events that say a word of the listener's own

# fmt: off
_PERSONAL = frozenset({
    "favorite", "favourite", "myfavorite", "myfavourite", "favorites", "favourites", "seenlive", "iown", "albumsiown",
    "own", "owned", "wishlist", "checkout", "tolisten", "listened", "heard", "playlist", "mylibrary", "library", "love",
    "loved", "like", "liked", "dislike", "hate", "skip", "unknown", "none", "other", "misc", "untagged", "todo", "test",
    "spotify", "lastfm", "itunes", "mp3", "vinyl", "cd", "tocheck", "tocheckout", "myplaylist", "fav", "favs", "fave",
    "faves",
})
# fmt: on
_NO_PLURALS = frozenset({"blues"})
_SHORTEST = 2


def in_vocabulary(said: pd.DataFrame, *, min_listeners: int, max_share: float) -> pd.DataFrame:
    """``said`` with tags and words of comments as the vocabulary has them; None where they have no place in it.

    Args:
        said: ``track, listener, kind, word, value``; feelings stay as they are.
        min_listeners: As for `vocabulary`.
        max_share: Likewise, of the tracks of which any word was said.
    """
    own = said["kind"].isin(OWN_WORDS)
    words = said[own]
    kept = vocabulary(words, words["track"].nunique(), min_listeners=min_listeners, max_share=max_share)
    return said.assign(word=said["word"].where(~own, words["word"].map(kept)))


def vocabulary(said: pd.DataFrame, tracks: int, *, min_listeners: int, max_share: float) -> Mapping[str, str]:
    """Each word as it was said → the word that is kept for it; words without a place in the vocabulary are missing.

    Args:
        said: ``listener, track, kind`` (``tag`` or ``comment``), ``word``: one row each time.
        tracks: How many tracks there are of which any word was said.
        min_listeners: A word is kept that so many listeners used, at least.
        max_share: And that stands at no more than this share of the tracks.
    """
    if said.empty:
        return {}
    written = {word: _written(word) for word in said["word"].unique()}
    spelled = said.assign(written=said["word"].map(written))
    spelled = spelled[spelled["written"].str.len() >= _SHORTEST]
    spelled = spelled.assign(key=spelled["written"].map({word: _key(word) for word in spelled["written"].unique()}))
    keys = set(spelled["key"])
    singular = {key: _singular(key, keys) for key in keys}
    spelled["key"] = spelled["key"].map(singular)
    common = _common_words()
    idle = (spelled["kind"] == "comment") & spelled["written"].isin(common)
    counted = spelled["key"].str.replace(r"\d+$", "", regex=True)  # "my playlist 3"
    personal = spelled["key"].isin(_PERSONAL) | counted.isin(_PERSONAL)
    spelled = spelled[~idle & ~personal & (counted != "")]
    used = spelled.groupby("key").agg(listeners=("listener", "nunique"), tracks=("track", "nunique"))
    kept = set(used.index[(used["listeners"] >= min_listeners) & (used["tracks"] <= max(max_share * tracks, 1))])
    spelled = spelled[spelled["key"].isin(kept)]
    # The spelling that most listeners use; of equal ones the first by the alphabet.
    often = spelled.groupby(["key", "written"])["listener"].nunique().reset_index()
    often = often.sort_values(["key", "listener", "written"], ascending=[True, False, True])
    shown = often.drop_duplicates("key").set_index("key")["written"].to_dict()
    chosen = {word: shown.get(singular.get(_key(text), "")) for word, text in written.items()}
    return {word: text for word, text in chosen.items() if text is not None}


def _written(word: str) -> str:
    """In small letters, without punctuation around it, one space between its parts."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", word).casefold())
    spaced = "".join(sign if _is_part(sign) or sign in "_'&+-" else " " for sign in text)
    return " ".join(spaced.strip(" _-'&+").split())


def _key(word: str) -> str:
    """What is compared: letters and digits alone."""
    return "".join(sign for sign in word if _is_part(sign))


def _is_part(sign: str) -> bool:
    """Whether a sign belongs to a word; many scripts write vowels as marks."""
    return sign.isalnum() or unicodedata.category(sign).startswith("M")


def _singular(key: str, keys: set[str]) -> str:
    """The same without a plural's end, where that is said too; the 1980s are no plural of 1980, and bass is none."""
    if key in _NO_PLURALS or key.endswith("ss"):
        return key
    for end, instead in (("ies", "y"), ("es", ""), ("s", "")):
        other = key.removesuffix(end) + instead
        if key.endswith(end) and len(key) > len(end) + 2 and other in keys and not other[-1].isdigit():
            return other
    return key


def _common_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
