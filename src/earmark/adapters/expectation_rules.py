"""The rules on what may enter the catalogue, to be edited here: one named expectation each, its severity, its reason.

Any expectation of Great Expectations can stand in a rule; its gallery describes them. Only names are used here, so that
this file costs nothing to import.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from earmark.params import Validation

Row = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One named expectation, and what to tell the owner of a row that breaks it.

    Attributes:
        name: As in quarantine.csv, in validation.json and in the Data Docs.
        severity: ``critical`` or ``warning``.
        demands: The rule in words.
        expectation: Name of the class in ``great_expectations.expectations``.
        kwargs: Its arguments.
        reason: From the offending row to the reason in quarantine.csv.
        spare_first: Of rows with equal values the first that is otherwise fit is kept: the others are its duplicates.
    """

    name: str
    severity: str
    demands: str
    expectation: str
    kwargs: dict[str, Any]
    reason: Callable[[Row], str] = field(default=lambda row: "")
    spare_first: bool = False


def track_rules(validation: Validation) -> list[Rule]:
    """The suite `tracks`: rules on one row of the catalogue, or on one row beside the others."""
    low_s, high_s, rate = validation.min_duration_s, validation.max_duration_s, validation.min_sample_rate_hz
    return [
        Rule(
            "audio_present",
            "critical",
            "The audio file is there and is not empty.",
            "ExpectColumnValuesToBeBetween",
            {"column": "audio_bytes", "min_value": 1},
            lambda row: f"there is no audio at {row['path']}; `dvc pull` or importing again brings it back",
        ),
        Rule(
            "hash_present",
            "critical",
            "The SHA-256 of the file's bytes is known: it is the version of the audio.",
            "ExpectColumnValuesToMatchRegex",
            {"column": "content_hash", "regex": "^[0-9a-f]{64}$"},
            lambda row: f"the content hash is {row['content_hash']!r}, no SHA-256; import the track again",
        ),
        Rule(
            "genre_present",
            "critical",
            "The track has a genre: without a label there is nothing to learn.",
            "ExpectColumnValuesToNotBeNull",
            {"column": "genre"},
            lambda row: "it has no genre; put the file into a folder that bears one, or label it in the source",
        ),
        Rule(
            "group_present",
            "critical",
            "The track has a group (its artist, as a rule), which keeps training and test apart.",
            "ExpectColumnValuesToNotBeNull",
            {"column": "group"},
            lambda row: "it has no group (artist), so it could stand on both sides of a split",
        ),
        Rule(
            "duration_in_range",
            "critical",
            f"The recording lasts {low_s:g} to {high_s:g} s.",
            "ExpectColumnValuesToBeBetween",
            {"column": "duration_s", "min_value": low_s, "max_value": high_s},
            lambda row: f"it lasts {row['duration_s']:.2f} s; needed: {low_s:g} to {high_s:g} s",
        ),
        Rule(
            "sample_rate_enough",
            "critical",
            f"The sample rate is at least {rate} Hz.",
            "ExpectColumnValuesToBeBetween",
            {"column": "sample_rate_hz", "min_value": rate},
            lambda row: f"its sample rate is {row['sample_rate_hz']} Hz; needed: at least {rate} Hz",
        ),
        Rule(
            "split_known",
            "critical",
            "An official split, where the source has one, is train, validation or test.",
            "ExpectColumnValuesToBeInSet",
            {"column": "split", "value_set": ["train", "validation", "test"]},
            lambda row: f"its official split is {row['split']!r}; known: train, validation, test",
        ),
        Rule(
            "id_unique",
            "critical",
            "No two tracks share an id; the first is kept.",
            "ExpectColumnValuesToBeUnique",
            {"column": "track_id"},
            lambda row: f"another track has the same id {row['track_id']}",
            spare_first=True,
        ),
        Rule(
            "path_unique",
            "critical",
            "No two tracks share a file; the first is kept.",
            "ExpectColumnValuesToBeUnique",
            {"column": "path"},
            lambda row: f"another track has the same file {row['path']}",
            spare_first=True,
        ),
        Rule(
            "content_unique",
            "critical",
            "No two files are equal byte for byte; the first that is otherwise fit is kept.",
            "ExpectColumnValuesToBeUnique",
            {"column": "content_hash"},
            lambda row: f"the same file as {row['first']}, byte for byte",
            spare_first=True,
        ),
        Rule(
            "artist_known",
            "warning",
            "The artist is known. Where it is not, two tracks of one artist can stand on both sides of a split.",
            "ExpectColumnValuesToNotBeNull",
            {"column": "artist"},
        ),
        Rule(
            "mono_or_stereo",
            "warning",
            "The recording has one or two channels; more are mixed down.",
            "ExpectColumnValuesToBeBetween",
            {"column": "channels", "min_value": 1, "max_value": 2},
        ),
    ]


def genre_rules(validation: Validation) -> list[Rule]:
    """The suite `genres`: rules on one row a genre, counted over the tracks that passed the suite `tracks`."""
    tracks, groups = validation.min_tracks_per_genre, validation.min_groups_per_genre
    return [
        Rule(
            "genre_has_tracks",
            "critical",
            f"Each genre has at least {tracks} fit tracks; else all of its tracks are refused.",
            "ExpectColumnValuesToBeBetween",
            {"column": "tracks", "min_value": tracks},
            lambda row: f"its genre {row['genre']} has {row['tracks']} fit tracks; needed: at least {tracks}",
        ),
        Rule(
            "genre_has_groups",
            "critical",
            f"Each genre has at least {groups} groups (artists), so that each side of a split gets some.",
            "ExpectColumnValuesToBeBetween",
            {"column": "groups", "min_value": groups},
            lambda row: f"its genre {row['genre']} has {row['groups']} groups (artists); needed: at least {groups}",
        ),
    ]


def catalogue_rules(validation: Validation, *, tracks_in: int) -> list[Rule]:
    """The suite `catalogue`: rules on what is left as a whole. ``tracks_in`` is how many there were."""
    share = validation.max_refused_share
    needed = max(1, math.ceil((1 - share) * tracks_in - 1e-9))
    return [
        Rule(
            "two_genres",
            "critical",
            "At least two genres are left: one alone cannot be told from anything.",
            "ExpectColumnUniqueValueCountToBeBetween",
            {"column": "genre", "min_value": 2},
            lambda row: f"Genres left: {row['genres']}; needed: at least 2.",
        ),
        Rule(
            "refused_share",
            "critical",
            f"At most {share:.0%} of the tracks are refused: at least {needed} of {tracks_in} enter.",
            "ExpectTableRowCountToBeBetween",
            {"min_value": needed},
            lambda row: (
                f"{tracks_in - row['tracks']} of {tracks_in} tracks were refused: {1 - row['tracks'] / tracks_in:.1%}. "
                f"Allowed by validation.max_refused_share: {share:.0%}."
            ),
        ),
    ]
