"""Event: one thing that a listener did with a song or said about it; and `Song`, as the service calls it.

A source yields these row by row; the door (`earmark.feedback.door`) judges them, turns the listener's name into a keyed
hash and hands them to the store. Nothing but the door ever sees a name.

A song is kept as its service calls it and not as a track of the catalogue: which track it is, the stage `targets` finds
out, so that a catalogue that grows finds what was listened to before, and old events stay as they are.
"""

from typing import Literal, NamedTuple, get_args

Kind = Literal["play", "skip", "like", "dislike", "rating", "feeling", "tag", "comment"]
Started = Literal["chosen", "continued"]
Ended = Literal["complete", "skipped", "stopped", "failed"]

KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST_WORD = 64  # characters


class Song(NamedTuple):
    """A song as a service calls it. Equal songs are one; a source had best hand out the same object again.

    Attributes:
        service: Whose ``key`` it is: ``spotify``, ``listenbrainz`` …; the source's `Source.service`.
        key: What identifies it there: the service's id where it has one, else `named_key`.
        title: Or None.
        artist: As the service writes it, several in one text; or None.
        album: Or None.
        isrc: Or None.
        duration_s: Its length in seconds, or None.
        track_id: Of the catalogue, where the source knows it (Emotify); None for others.
        since_us: From when on it could be heard there, in microseconds since 1970 UTC, or None.
    """

    service: str
    key: str
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    isrc: str | None = None
    duration_s: float | None = None
    track_id: str | None = None
    since_us: int | None = None


class About(NamedTuple):
    """What is known of a listener beyond the name; only coarse things are kept.

    Attributes:
        age: In years; kept as a band of ten years.
        gender: As the source calls it.
        country: Two letters (ISO 3166-1).
        language: As the source calls it.
    """

    age: int | None = None
    gender: str | None = None
    country: str | None = None
    language: str | None = None


class Event(NamedTuple):
    """One thing that one listener did.

    Attributes:
        where: The row it comes from, for refusals: ``endsong_0.json:[17]``, ``likes.csv:3``.
        song: With which song.
        kind: ``play`` (listened, to whatever end), ``skip`` (ended by the listener's own wish to hear something else),
            ``like`` and ``dislike`` (said so, or did not when asked: see ``value``), ``rating``, ``feeling`` (felt
            ``word``, or did not), ``tag`` (called it ``word``), ``comment`` (used ``word`` in a comment).
        listener: Who, as the source or the user calls them; None where nobody is told apart (counts of a whole
            service). Hashed at the door and never stored.
        at_us: When it happened (a play: when it ended, if the service tells that), in microseconds since 1970 UTC; None
            where no time is known: then it is a state, and a newer import of the same state takes its place.
        ms_played: For how long it sounded, in milliseconds, all ``times`` together; or None.
        value: ``like``, ``dislike``, ``feeling``: 1 yes, 0 no, None taken back. ``rating``: 0 worst to 1 best. Else
            None. Where a service has one scale, say both: a dislike is ``like`` 0 and ``dislike`` 1.
        word: Of a feeling, tag or comment; at most `LONGEST_WORD` characters; else None.
        times: How often it happened, where a row stands for several.
        started: ``chosen`` (the listener picked this song), ``continued`` (it came by itself: the next of an album,
            shuffle, autoplay), None where it is not known.
        ended: ``complete``, ``skipped`` (exactly those of kind ``skip``), ``stopped`` (the listener or the app stopped
            altogether), ``failed`` (an error), None where it is not known.
        about: The listener, or None.
    """

    where: str
    song: Song
    kind: Kind
    listener: str | None
    at_us: int | None = None
    ms_played: int | None = None
    value: float | None = None
    word: str | None = None
    times: int = 1
    started: Started | None = None
    ended: Ended | None = None
    about: About | None = None


def named_key(title: str | None, artist: str | None) -> str:
    """The `Song.key` where a service gives no id: equal for one song, however its names are written.

    Example:
        >>> named_key("Close to You", "The Carpenters") == named_key("close to you", "Carpenters")
        True
    """
    from earmark.catalogue.labels.titles import plain, title_key

    return f"{plain(artist or '')}\n{title_key(title)}"
