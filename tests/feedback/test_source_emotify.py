"""Emotify's answers as feedback: eleven events a line. The data set here is made up, of the published layout."""

import csv
import random
from collections import Counter
from pathlib import Path

import pytest
from telling import events, lay, packed, refused, told

from earmark.errors import FeedbackError
from earmark.feedback.event import About, Song
from earmark.feedback.sources.emotify import EMOTIONS, EmotifyAnswers
from earmark.feedback.sources.source import Refused

HEADER = "track id, genre, " + ", ".join(EMOTIONS) + ", mood, liked, disliked, age, gender, mother tongue\n"


def line(track_id=1, genre="classical", felt=(), *, liked=0, disliked=0, age=31, gender=1, tongue="Dutch") -> str:
    emotions = ",".join(str(int(emotion in felt)) for emotion in EMOTIONS)
    return f"{track_id},{genre},{emotions},3,{liked},{disliked},{age},{gender},{tongue}\n"


def answers(folder: Path, *lines: str) -> EmotifyAnswers:
    return EmotifyAnswers(lay(folder, {"data.csv": HEADER + "".join(lines)}))


class TestAnAnswer:
    def test_is_nine_feelings_a_like_and_a_dislike_of_one_listener(self, tmp_path):
        (row,) = told(answers(tmp_path, line(felt=("power", "sadness"), liked=1)))
        assert isinstance(row, tuple)
        assert [(event.kind, event.word, event.value) for event in row] == [
            *(("feeling", word, float(word in ("power", "sadness"))) for word in EMOTIONS),
            ("like", None, 1.0), ("dislike", None, 0.0),
        ]  # fmt: skip
        assert {(event.where, event.listener, event.at_us) for event in row} == {("data.csv:2", "answer 2", None)}

    @pytest.mark.parametrize(
        ("track_id", "genre", "excerpt"),
        [(1, "classical", "classical/1"), (100, "classical", "classical/100"), (101, "rock", "rock/1"),
         (300, "electronic", "electronic/100"), (400, "pop", "pop/100")],
    )  # fmt: skip
    def test_is_about_the_file_that_its_track_id_means(self, tmp_path, track_id, genre, excerpt):
        found = events(answers(tmp_path, line(track_id, genre)))
        assert {event.song for event in found} == {Song("emotify", excerpt, track_id=f"{excerpt}.mp3")}

    @pytest.mark.parametrize(("age", "kept"), [(10, 10), (31, 31), (98, 98), (99, None), (5, None), (0, None)])
    def test_tells_age_gender_and_language_as_far_as_they_can_be(self, tmp_path, age, kept):
        found = events(answers(tmp_path, line(age=age, gender=0, tongue="Estonian")))
        assert {event.about for event in found} == {About(kept, "0", None, "Estonian")}

    def test_tells_no_language_that_a_database_cannot_hold(self, tmp_path):
        assert {event.about.language for event in events(answers(tmp_path, line(tongue="Dut\0ch")))} == {"Dut ch"}

    def test_of_the_same_line_is_of_the_same_listener_and_of_another_line_of_another(self, tmp_path):
        source = answers(tmp_path, line(), line(), line(liked=1))
        assert Counter(event.listener for event in events(source)) == {f"answer {n}": 11 for n in (2, 3, 4)}


class TestAllAnswers:
    def test_add_up_to_the_columns_of_the_table(self, tmp_path):
        chance = random.Random(0)
        lines = [
            line(
                101 + n % 7, "rock", [word for word in EMOTIONS if chance.random() < 0.3],
                liked=int(chance.random() < 0.4), disliked=int(chance.random() < 0.2),
            )
            for n in range(300)
        ]  # fmt: skip
        source = answers(tmp_path, *lines)
        with (tmp_path / "data.csv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file, skipinitialspace=True))
        found = events(source)
        assert len(found) == 11 * len(table) == 3300
        for word in EMOTIONS:
            assert sum(event.value for event in found if event.word == word) == sum(int(row[word]) for row in table)
        for kind, column in (("like", "liked"), ("dislike", "disliked")):
            assert sum(event.value for event in found if event.kind == kind) == sum(int(row[column]) for row in table)

    def test_that_cannot_be_used_are_refused_once_each(self, tmp_path):
        bad = [line(0), line(101), line("x"), line(liked=2), line(age="old"), "1,classical,1\n", line(gender="f")]
        source = answers(tmp_path, line(), *bad, line())
        rows = told(source)
        assert len(rows) == 2 + len(bad) and sum(isinstance(row, Refused) for row in rows) == len(bad)
        said = refused(source)
        assert list(said) == [f"data.csv:{n}" for n in range(3, 3 + len(bad))]
        needles = ["track id is 0", "its genre is", "'x'", "liked is 2", "age is 'old'", "3 fields", "gender is 'f'"]
        assert all(needle in reason for needle, reason in zip(needles, said.values(), strict=True))

    def test_are_found_in_the_folder_the_file_or_an_archive(self, tmp_path):
        content = HEADER + line()
        lay(tmp_path, {"emotify/data.csv": content, "emotify/emotifymusic/rock/1.mp3": b"", "mine.csv": content})
        (tmp_path / "emotify.zip").write_bytes(packed({"emotify/data.csv": content}))
        for place in ("emotify", "emotify/data.csv", "mine.csv", "emotify.zip"):
            assert len(events(EmotifyAnswers(tmp_path / place))) == 11

    def test_name_their_listener_themselves(self):
        assert EmotifyAnswers.tells_listener and not EmotifyAnswers.anonymous
        assert "non-commercial" in (EmotifyAnswers.licence or "") and "Aljanaki" in (EmotifyAnswers.citation or "")


class TestErrors:
    def test_another_folder_is_named_for_what_it_holds(self, tmp_path):
        lay(tmp_path, {"music/jazz/a.mp3": b""})
        with pytest.raises(FeedbackError, match=r"holds no data\.csv of Emotify\. Found: jazz/a\.mp3"):
            EmotifyAnswers(tmp_path / "music").files()

    def test_other_columns_are_named(self, tmp_path):
        lay(tmp_path, {"data.csv": "id,genre\n1,rock\n"})
        with pytest.raises(FeedbackError, match=r"lacks the columns track id, amazement.*it has id, genre"):
            told(EmotifyAnswers(tmp_path))
