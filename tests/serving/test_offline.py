"""`earmark predict`: answers without a service."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import mutagen
import pytest
from click.testing import CliRunner
from serving_tools import LABELS, TAGS, export, make_project, tone_wav, untrained

from earmark.audio.decode import decode
from earmark.audio.facts import facts_of
from earmark.catalogue.tags import read_tags
from earmark.cli import main
from earmark.serving.answers import Answer
from earmark.serving.decoding import Decoders


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
        model = {"name": "earmark", "version": "4", "run_id": "run-of-the-test", "kind": "network", "data_hash": "none"}
        assert answers[0]["model"] == model
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

    def test_json_is_the_services_answer_without_what_only_the_service_knows(self, root, song):
        (line,) = predict(root, "--json", song).stdout.splitlines()
        told = json.loads(line)
        assert told.pop("file") == str(song)
        whole = Answer.model_validate({**told, "prediction_id": "x", "model": {**told["model"], "role": "champion"}})
        assert whole.model_dump(mode="json", exclude={"prediction_id": True, "model": {"role"}}) == told
        waveform = decode(song, sample_rate_hz=16_000, mono=True).waveform[0]
        expected = untrained().predict(waveform)
        assert [each["start_s"] for each in told["moments"]] == [each.start_s for each in expected.moments]
        loudness = told["facts"]["loudness"]["lufs"]
        facts = facts_of(waveform, 16_000, loudness_lufs=loudness)
        assert (told["facts"]["tempo"] is None) == (facts.tempo is None)


class TestFolders:
    @pytest.fixture
    def music(self, tmp_path):
        music = tmp_path / "music"
        (music / "b.mp3").mkdir(parents=True)
        (music / ".hidden").mkdir()
        for name in ("c.wav", "a.wav", "b.mp3/inner.wav", "nameless", ".hidden/x.wav"):
            (music / name).write_bytes(tone_wav(2.0))
        (music / "cover.jpg").write_bytes(b"\xff\xd8\xff no music")
        (music / "notes.txt").write_text("no music either")
        return music

    def test_recordings_below_are_answered_in_the_order_of_their_names(self, root, music):
        result = predict(root, "--json", music)
        assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [
            str(music / name) for name in ("a.wav", "b.mp3/inner.wav", "c.wav", "nameless")
        ]
        assert (result.exit_code, result.stderr) == (0, "")

    def test_one_without_any_is_an_error(self, root, tmp_path):
        (tmp_path / "empty").mkdir()
        result = predict(root, tmp_path / "empty")
        assert (result.exit_code, result.stdout) == (3, "")
        assert "no recording" in result.stderr

    def test_a_link_that_leads_nowhere_is_said(self, root, music):
        (music / "z.wav").symlink_to(music / "gone.wav")
        result = predict(root, "--json", music)
        assert len(result.stdout.splitlines()) == 4
        assert "broken link" in result.stderr and result.exit_code == 3

    def test_a_name_that_is_no_text_is_printed_as_bytes(self, root, tmp_path):
        path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(tone_wav(2.0))
        for form in ("--json", "--csv"):
            result = predict(root, form, tmp_path)
            assert result.exit_code == 0 and "caf" in result.stdout


class TestManyFiles:
    def test_order_is_that_of_the_files_whichever_is_decoded_first(self, root, tmp_path):
        lengths = [15.0, 1.5, 12.0, 1.5, 1.5, 9.0, 1.5, 2.0]
        for number, seconds in enumerate(lengths):
            (tmp_path / f"{number}.wav").write_bytes(tone_wav(seconds, rate_hz=16_000))
        result = predict(root, "--json", *sorted(tmp_path.glob("*.wav")))
        assert [json.loads(line)["duration_s"] for line in result.stdout.splitlines()] == lengths

    def test_few_files_are_held_at_a_time(self, root, tmp_path, monkeypatch):
        held, most = 0, 0
        decode_one = Decoders.decode

        async def counted(self, *arguments, **named):
            nonlocal held, most
            held += 1
            most = max(most, held)
            try:
                return await decode_one(self, *arguments, **named)
            finally:
                held -= 1

        monkeypatch.setattr(Decoders, "decode", counted)
        monkeypatch.setattr("earmark.serving.many.cores", lambda: 2)
        for number in range(30):
            (tmp_path / f"{number}.wav").write_bytes(tone_wav(1.5))
        assert len(predict(root, *tmp_path.glob("*.wav")).stdout.splitlines()) == 30
        assert most == 4

    def test_a_file_that_kills_its_decoder_spoils_no_other(self, root, song, tmp_path, monkeypatch):
        async def died(self, file, **named):
            from earmark.serving.decoding import DecoderDied

            raise DecoderDied("The decoder died on the audio.")

        monkeypatch.setattr(Decoders, "decode", died)
        result = predict(root, song, song)
        assert result.exit_code == 3
        assert result.stderr.count("decoder died") == 2

    def test_progress_is_shown_for_many_and_not_for_few(self, root, song, monkeypatch):
        assert "predict:" not in predict(root, song, song).stderr
        monkeypatch.setattr("earmark.serving.offline._MANY", 2)
        result = predict(root, "--json", song, song)
        assert "predict:" in result.stderr
        assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [str(song)] * 2

    def test_a_named_pipe_is_not_waited_for(self, root, tmp_path):
        os.mkfifo(tmp_path / "pipe.wav")
        assert "no file" in predict(root, tmp_path / "pipe.wav").stderr

    @pytest.mark.slow
    def test_ctrl_c_keeps_what_was_printed_and_leaves_no_process(self, root, tmp_path):
        song = tmp_path / "song.wav"
        song.write_bytes(tone_wav(19.0, rate_hz=48_000))
        command = [sys.executable, "-m", "earmark.cli", "--root", str(root), "predict", "--json", *[str(song)] * 2_000]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        first = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to decoders, too
        rest, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "stopped by Ctrl-C" in said and "Traceback" not in said
        lines = [first, *rest.splitlines()]
        assert len(lines) < 2_000 and {json.loads(line)["file"] for line in lines} == {str(song)}
        end = time.monotonic() + 10
        while _alive(process.pid):
            assert time.monotonic() < end, "processes are left"
            time.sleep(0.1)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class TestCsv:
    def rows(self, result):
        return list(csv.DictReader(io.StringIO(result.stdout, newline="")))

    def test_a_row_a_file_with_all_that_is_said(self, root, song):
        result = predict(root, "--csv", song, song)
        rows = self.rows(result)
        told = json.loads(predict(root, "--json", song).stdout)
        assert len(rows) == 2 and rows[0] == rows[1]
        assert list(rows[0])[:4] == ["file", "genre", "probability", "genre_set"]
        assert set(TAGS) < set(rows[0])
        assert (rows[0]["file"], rows[0]["genre"]) == (str(song), told["genres"][0]["genre"])
        assert float(rows[0]["probability"]) == pytest.approx(told["genres"][0]["probability"], abs=1e-5)
        assert {tag: float(rows[0][tag]) for tag in TAGS} == pytest.approx(
            {each["tag"]: each["share"] for each in told["tags"]}, abs=1e-5
        )
        assert float(rows[0]["loudness_lufs"]) == pytest.approx(told["facts"]["loudness"]["lufs"], abs=1e-3)
        assert (rows[0]["model_version"], rows[0]["error"], rows[0]["abstains"]) == ("4", "", "false")

    def test_it_is_what_rfc_4180_says(self, root, tmp_path):
        path = tmp_path / 'a "quoted", name.wav'
        path.write_bytes(tone_wav(2.0))
        text = predict(root, "--csv", path).stdout_bytes.decode()
        assert text.count("\r\n") == text.count("\n") == 2
        assert '""quoted"", name' in text
        assert self.rows(predict(root, "--csv", path))[0]["file"] == str(path)

    def test_a_file_without_an_answer_has_a_row_too(self, root, song, tmp_path):
        result = predict(root, "--csv", tmp_path / "missing.mp3", song)
        bad, good = self.rows(result)
        assert "cannot be read" in bad["error"] and bad["genre"] == ""
        assert good["error"] == "" and result.exit_code == 3

    @pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@SUM(A1)", "＝1", " =1", "\tx"])
    def test_no_name_is_taken_for_a_formula(self, root, tmp_path, monkeypatch, name):
        monkeypatch.chdir(tmp_path)
        (tmp_path / name).write_bytes(tone_wav(2.0))
        result = predict(root, "--csv", "--", name)
        assert self.rows(result)[0]["file"] == f"'{name}"

    def test_a_negative_number_stays_a_number(self, root, song):
        assert float(self.rows(predict(root, "--csv", song))[0]["loudness_lufs"]) < 0

    def test_no_label_is_taken_for_a_formula(self, root, song):
        untrained(labels=("=1+1", "-2", "@x")).save(root / "models/network")
        row = self.rows(predict(root, "--csv", "--model", root / "models/network", song))[0]
        assert row["genre"] in ("'=1+1", "'-2", "'@x")


class TestWritingTags:
    def test_what_is_printed_stands_in_the_file_and_twice_is_once(self, root, tmp_path, encode):
        song = tmp_path / "song.mp3"
        song.write_bytes(encode("mp3"))
        result = predict(root, "--json", "--write-tags", song)
        genre = json.loads(result.stdout)["genres"][0]["genre"]
        assert str(mutagen.File(song).tags["TCON"]) == genre
        assert read_tags(song).genre is None
        assert "tags written: 1; files left as they were: 0" in result.stderr
        tagged = song.read_bytes()
        assert "tags written: 0; files left as they were: 1" in predict(root, "--write-tags", song).stderr
        assert song.read_bytes() == tagged

    def test_a_file_that_holds_no_tags_is_answered_and_reported(self, root, tmp_path, encode):
        song = tmp_path / "song.webm"
        song.write_bytes(encode("webm"))
        result = predict(root, "--csv", "--write-tags", song)
        assert result.exit_code == 3
        assert "no tags into files of this kind" in result.stderr
        assert "no tags into files of this kind" in result.stdout and "network" not in result.stdout

    def test_overwriting_is_about_tags(self, root, song):
        assert predict(root, "--overwrite", song).exit_code == 2
