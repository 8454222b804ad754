"""Which pieces count as one."""

import dataclasses

import pytest

from earmark.catalogue.songbook.corpus import STYLES, Piece, candidates
from earmark.catalogue.songbook.families import BEATS, begin_alike, groups, normalised_title, opening
from earmark.catalogue.songbook.rendering import read
from earmark.catalogue.songbook.score import Note, Score

MELODY = [60, 62, 64, 65, 67, 65, 64, 62, 60, 67, 72, 67, 60]
OTHER = [60, 60, 67, 67, 69, 69, 67, 65, 65, 64, 64, 62, 60]


def score(pitches: list[int], *, beat: float = 1.0) -> Score:
    notes = tuple(Note(at * beat, beat, pitch) for at, pitch in enumerate(pitches))
    return Score(parts=(notes,), beat=beat, pickup=0.0, length=len(pitches) * beat)


def piece(name: str, **more) -> Piece:
    return Piece(piece_id=name, path=name, style="reel", title=name, artist="Traditional", **more)


class TestTitles:
    @pytest.mark.parametrize(
        "variant", ["The Acacia -- Reel", "ACACIA -- HORNPIPE", "Acacia's Favorite -- Jig", "Old Acacia (No. 2)"]
    )
    def test_dance_case_articles_and_numbers_make_no_other_tune(self, variant):
        assert normalised_title(variant) == "acacia"

    def test_accents_make_no_other_hymn(self):
        assert normalised_title("Herzlich tut mich verlangen, süß") == normalised_title(
            "HERZLICH TUT MICH VERLANGEN SUSS"
        )

    def test_two_names_stay_two(self):
        assert normalised_title("Black Sheep -- Jig") != normalised_title("Black Eagle -- Jig")


class TestOpenings:
    def test_a_transposed_tune_begins_alike(self):
        assert begin_alike(opening(score(MELODY)), opening(score([pitch + 5 for pitch in MELODY])))

    def test_a_tune_printed_in_longer_notes_begins_alike(self):
        assert begin_alike(opening(score(MELODY)), opening(score(MELODY, beat=2.0)))

    def test_a_tune_with_a_longer_upbeat_begins_alike(self):
        assert begin_alike(opening(score(MELODY)), opening(score([55, 55, *MELODY])))

    def test_another_tune_begins_otherwise(self):
        assert not begin_alike(opening(score(MELODY)), opening(score(OTHER)))

    def test_an_opening_that_stands_still_proves_nothing(self):
        still = score([60] * (BEATS + 5))

        assert not begin_alike(opening(still), opening(still))


class TestGroups:
    def test_movements_of_one_work_are_one_group(self):
        pieces = [piece("a", work="opus1"), piece("b", work="opus1"), piece("c", work="opus2")]
        group = groups(pieces, dict.fromkeys("abc", ()))

        assert group["a"] == group["b"] != group["c"]

    def test_kinship_passes_through_a_third_piece(self):
        pieces = [piece("a", names=("Acacia",)), piece("b", names=("Acacia", "The Fox")), piece("c", names=("Fox",))]

        assert len(set(groups(pieces, dict.fromkeys("abc", ())).values())) == 1

    def test_one_melody_under_two_titles_is_one_group(self):
        pieces = [piece("a", names=("Acacia",)), piece("b", names=("Fox",)), piece("c", names=("Hen",))]
        openings = {
            "a": opening(score(MELODY)),
            "b": opening(score([p - 7 for p in MELODY])),
            "c": opening(score(OTHER)),
        }
        group = groups(pieces, openings)

        assert group["a"] == group["b"] != group["c"]

    def test_the_order_of_the_pieces_changes_nothing(self):
        pieces = [piece("c", names=("Fox",)), piece("a", names=("Fox",)), piece("b", names=("Hen",))]
        openings = dict.fromkeys("abc", ())

        assert groups(pieces, openings) == groups(pieces[::-1], openings)

    def test_two_settings_of_one_hymn_are_found_by_their_melody_alone(self):
        chorales = {one.piece_id: one for one in candidates(1)["chorale"]}
        # "Jesu, meine Freude", twice in one motet
        two = [dataclasses.replace(chorales[name], names=()) for name in ("chorale/bwv227.1", "chorale/bwv227.7")]

        assert len(set(groups(two, {one.piece_id: opening(read(one)) for one in two}).values())) == 1


class TestCorpus:
    def test_every_style_has_forty_candidates(self):
        assert {style: len(pieces) >= 40 for style, pieces in candidates(1).items()} == dict.fromkeys(STYLES, True)

    def test_another_seed_tries_other_pieces_first(self):
        assert candidates(1)["reel"][:10] != candidates(2)["reel"][:10]

    def test_folders_with_reserved_rights_are_not_touched(self):
        folders = {one.path.split("/")[0] for pieces in candidates(1).values() for one in pieces}

        assert folders == {"bach", "beethoven", "haydn", "monteverdi", "mozart", "ryansMammoth", "trecento"}

    def test_every_name_is_used_once(self):
        names = [one.piece_id for pieces in candidates(1).values() for one in pieces]

        assert len(names) == len(set(names))
