"""`earmark predict`: answers without a service."""

import json

import pytest
from click.testing import CliRunner
from serving_tools import LABELS, export, make_project, tone_wav, untrained

from earmark.audio.decode import decode
from earmark.cli import main


@pytest.fixture
def root(tmp_path):
    root = make_project(tmp_path / "project")
    export(root, untrained(), version="4")
    return root


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "a song 歌.wav"
    path.write_bytes(tone_wav(3.0))
    return path


def predict(root, *arguments):
    return CliRunner().invoke(main, ["--root", str(root), "predict", *map(str, arguments)])


class TestPredict:
    def test_a_song_is_a_line_with_its_most_probable_genres(self, root, song):
        result = predict(root, song)
        assert result.exit_code == 0
        (line,) = result.stdout.splitlines()
        assert line.startswith(str(song))
        assert "3.0 s" in line
        assert sum(label in line for label in LABELS) == 3

    def test_json_is_one_object_a_line_and_agrees_with_the_predictor(self, root, song):
        result = predict(root, "--json", song, song)
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        predictor = untrained()
        expected = predictor.predict(decode(song, sample_rate_hz=16_000, mono=True).waveform[0])
        assert [answer["file"] for answer in answers] == [str(song)] * 2
        assert answers[0]["model"] == {"name": "earmark", "version": "4", "run_id": "run-of-the-test"}
        assert answers[0]["genres"][0]["genre"] == expected.genre
        assert answers[0]["genres"][0]["probability"] == pytest.approx(expected.genres[0].probability)
        assert [each["tag"] for each in answers[0]["tags"]] == [each.tag for each in expected.tags]
        assert [each["share"] for each in answers[0]["tags"]] == pytest.approx([each.share for each in expected.tags])

    def test_a_bad_file_is_reported_with_its_reason_and_spoils_no_other(self, root, song, tmp_path):
        text, missing = tmp_path / "text.mp3", tmp_path / "missing.mp3"
        text.write_text("no music")
        result = predict(root, text, song, missing)
        assert result.exit_code != 0
        assert len(result.stdout.splitlines()) == 1
        assert str(song) in result.stdout
        first, second = result.stderr.splitlines()
        assert "text.mp3" in first and "not" in first
        assert "missing.mp3" in second

    def test_without_a_champion_it_says_how_to_get_one(self, tmp_path, song):
        result = predict(make_project(tmp_path / "empty"), song)
        assert result.exit_code != 0
        assert "earmark demo" in result.stderr
        assert "--model" in result.stderr

    def test_another_model_can_be_named(self, root, song):
        untrained(labels=("polka", "waltz")).save(root / "models/network")
        result = predict(root, "--json", "--model", root / "models/network", song)
        answer = json.loads(result.stdout)
        assert {genre["genre"] for genre in answer["genres"]} == {"polka", "waltz"}
        assert answer["model"]["version"] == "unregistered"
