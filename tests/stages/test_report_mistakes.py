"""A few seconds of a song inside a page, the right ones and small; and what in it moved the network."""

import base64
import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import wavfile

from earmark.audio.decode import decode
from earmark.errors import ModelError
from earmark.model.material import load_material
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.params import load_params
from earmark.stages.report import mistakes
from earmark.stages.report.mistakes import heard_mistakes
from earmark.stages.report.reading import Reports
from earmark.stages.report.reasons import as_rows, explaining, loudest_stretch
from earmark.stages.report.sound import RATE_HZ, excerpt
from earmark.workspace import FEATURES, NETWORK, SPLITS
from scratch import CHECKOUT


def bytes_of(address: str) -> bytes:
    kind, _, content = address.partition("base64,")
    assert kind == "data:audio/mpeg;"
    return base64.b64decode(content)


@pytest.fixture
def song(tmp_path):
    """Ten seconds that climb: 500 Hz in the first, 1,000 Hz in the second, and so on."""
    rate = 22_050
    time = np.arange(10 * rate) / rate
    wave = 0.5 * np.sin(2 * np.pi * 500 * (1 + np.floor(time)) * time)
    wavfile.write(tmp_path / "climb.wav", rate, (wave * 32_767).astype(np.int16))
    return tmp_path / "climb.wav"


def pitch_hz(samples, second: float) -> float:
    part = samples[int(second * RATE_HZ) :][: RATE_HZ // 4]
    return float(np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() * RATE_HZ / len(part))


class TestExcerpt:
    def test_it_sounds_as_the_song_does_from_there_on(self, song):
        heard = decode(bytes_of(excerpt(song, 3.0, 2.0))).waveform[0].numpy()
        assert len(heard) / RATE_HZ == pytest.approx(2.0, abs=0.1)
        assert pitch_hz(heard, 0.4) == pytest.approx(2_000, abs=10)  # the fourth second
        assert pitch_hz(heard, 1.4) == pytest.approx(2_500, abs=10)

    def test_it_is_small(self, song):
        assert len(excerpt(song, 0.0, 6.0)) < 60_000

    def test_where_the_song_ends_before_it_begins_earlier(self, song):
        heard = decode(bytes_of(excerpt(song, 9.5, 2.0))).waveform[0].numpy()
        assert len(heard) / RATE_HZ == pytest.approx(2.0, abs=0.1)
        assert pitch_hz(heard, 1.5) == pytest.approx(5_000, abs=20)

    def test_a_song_that_is_shorter_is_whole(self, song):
        heard = decode(bytes_of(excerpt(song, 0.0, 30.0))).waveform[0].numpy()
        assert len(heard) / RATE_HZ == pytest.approx(10.0, abs=0.1)

    def test_the_same_sound_is_the_same_bytes(self, song):
        assert excerpt(song, 1.0, 3.0) == excerpt(song, 1.0, 3.0)


class TestReasons:
    LABELS = ("folk", "jazz", "rock")

    @pytest.fixture
    def explained(self):
        """A network of no training, a song of noise, and what speaks for rock rather than folk."""
        params = load_params(CHECKOUT / "params.yaml")
        how = replace(params.network, size="tiny", excerpt_seconds=1.024, excerpts=2)
        torch.manual_seed(0)
        networks = tuple(MusicNetwork(how, mels=params.frontend.mels, classes=3).eval() for _ in range(2))
        predictor = NetworkPredictor(self.LABELS, params.frontend, frozenset(), "hash", networks=networks, how=how)
        material = Songs(params.frontend.mels)
        return predictor, material, explaining(predictor, material)(material.tracks[0], "rock", "folk")

    def test_the_parts_add_up_to_the_log_odds_beyond_those_of_average_music(self, explained):
        predictor, material, found = explained
        heard = torch.from_numpy(predictor.excerpts(material.log_mel(material.tracks[0])))
        average = torch.from_numpy(np.concatenate([material.log_mel(row) for row in material.tracks]).mean(axis=0))
        still = average[None, :, None].expand(1, -1, heard.shape[2])
        with torch.inference_mode():
            song, base = (
                torch.stack([network(part)[0] for network in predictor.networks]).mean(dim=0).mean(dim=0)
                for part in (heard, still)
            )
        expected = float((song[2] - song[0]) - (base[2] - base[0]))
        assert found.difference == pytest.approx(expected, abs=1e-3)
        assert found.bands.sum() == pytest.approx(expected, abs=max(0.05, 2 * found.gap))

    def test_bands_are_joined_without_losing_anything(self, explained):
        found = explained[2]
        rows = as_rows(found, bars=16)
        assert len(rows) == 16
        assert rows["adds"].sum() == pytest.approx(found.bands.sum())
        np.testing.assert_allclose(rows["low_hz"].iloc[1:], rows["high_hz"].iloc[:-1])

    def test_one_listens_where_most_speaks_for_the_genre(self, explained):
        found = explained[2]
        middles = np.arange(10) + 0.5
        there = replace(found, moments=np.array([0, 0, 0, -1, 2, 3, 0, 0, 0, 0.0]), moment_seconds=middles)
        assert loudest_stretch(there, 2.0) == pytest.approx(4.0)


class Project:
    """Four songs that climb as `song` does, each from a pitch of its own; a network of no training, and its mistakes.

    The forest leads, so that its mistakes are those to hear; the network, too, made some.
    """

    SECONDS = 2.0

    def __init__(self, root: Path) -> None:
        self.root = root
        params = load_params(CHECKOUT / "params.yaml")
        self.params = replace(
            params, evaluation=replace(params.evaluation, excerpt_seconds=self.SECONDS, worst_errors=3)
        )
        self.tracks = pd.DataFrame({"track_id": list("abcd"), "genre": ["folk", "jazz", "rock", "folk"]})
        self.tracks = self.tracks.assign(path=self.tracks["track_id"] + ".wav", group="someone", split="train")
        self.tracks["content_hash"] = [self._sounding(place, name) for place, name in enumerate(self.tracks["path"])]
        for path in (FEATURES, SPLITS, NETWORK):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        self.tracks[["track_id", "content_hash", "path"]].to_parquet(root / FEATURES)
        self.tracks[["track_id", "split", "group", "genre"]].to_parquet(root / SPLITS)
        how = replace(params.network, size="tiny", excerpt_seconds=1.024, excerpts=2)
        torch.manual_seed(0)
        networks = (MusicNetwork(how, mels=params.frontend.mels, classes=3).eval(),)
        self.network = NetworkPredictor(
            TestReasons.LABELS, params.frontend, frozenset(), "hash", networks=networks, how=how
        )
        self.network.save(root / NETWORK)

    def _sounding(self, place: int, name: str) -> str:
        rate = 22_050
        time = np.arange(10 * rate) / rate
        wave = 0.5 * np.sin(2 * np.pi * self.pitch_hz(place, time) * time)
        wavfile.write(self.root / name, rate, (wave * 32_767).astype(np.int16))
        return hashlib.sha256((self.root / name).read_bytes()).hexdigest()

    @staticmethod
    def pitch_hz(place, second):
        return 500 * (1 + np.floor(second)) + 100 * place

    def reports(self, **other) -> Reports:
        """The forest's surest mistakes: of d, b, a and c."""
        table = self.tracks.set_index("track_id").loc[["a", "d", "b", "a", "c"]].reset_index()
        table = table.assign(
            model=["network", *["forest"] * 4],
            said=["rock", "jazz", "rock", "jazz", "folk"],
            confidence=[0.99, 0.9, 0.8, 0.7, 0.6],
            probability=[0.01, 0.05, 0.15, 0.25, 0.35],
            also=["", "network machine", "", "network", ""],
        )
        held = {kind: {"accuracy": 0.5, "log_loss": loss} for kind, loss in (("network", 1.0), ("forest", 0.8))}
        titles = pd.DataFrame({"title": ["Ah", None], "artist": ["Somebody", math.nan]}, index=["d", "b"])
        of = Reports(
            metrics={"network": {}, "forest": {}, "held_out": held},
            mistakes=table,
            titles=titles,
            **dict.fromkeys(("per_class", "confusion", "tags", "reliability", "risk_coverage"), pd.DataFrame()),
        )
        return replace(of, **other)

    def heard(self, **how) -> list[mistakes.Mistake]:
        params = replace(self.params, evaluation=replace(self.params.evaluation, **how))
        return heard_mistakes(self.reports(), params, self.root)


class TestHeardMistakes:
    @pytest.fixture
    def project(self, tmp_path):
        return Project(tmp_path)

    def test_they_are_the_surest_of_the_model_that_leads_in_their_order(self, project):
        found = project.heard()
        assert [one.track_id for one in found] == ["d", "b", "a"]
        assert [(one.genre, one.said) for one in found] == [("folk", "jazz"), ("jazz", "rock"), ("folk", "jazz")]
        assert [(one.confidence, one.probability) for one in found] == [(0.9, 0.05), (0.8, 0.15), (0.7, 0.25)]
        assert [one.also for one in found] == [("network", "machine"), (), ("network",)]

    def test_a_song_without_a_title_goes_by_its_name(self, project):
        assert [(one.title, one.artist) for one in project.heard()] == [("Ah", "Somebody"), ("b", ""), ("a", "")]

    def test_one_hears_each_song_from_where_it_says(self, project):
        found = project.heard()
        assert max(one.start_s for one in found) > 1  # or it might be the beginning of all
        for one, place in zip(found, (3, 1, 0), strict=True):
            heard = decode(bytes_of(one.sound)).waveform[0].numpy()
            assert len(heard) / RATE_HZ == pytest.approx(project.SECONDS, abs=0.1)
            into = math.ceil(one.start_s) + 0.4 - one.start_s  # past the next step upwards
            assert pitch_hz(heard, into) == pytest.approx(project.pitch_hz(place, math.ceil(one.start_s)), abs=20)

    def test_that_is_where_most_speaks_for_what_was_said(self, project):
        for one in project.heard():
            starts = one.why.moment_seconds - one.why.moment_seconds[0]
            inside = (one.why.moment_seconds[None] > starts[:, None]) & (
                one.why.moment_seconds[None] < starts[:, None] + project.SECONDS
            )
            whole = starts + project.SECONDS <= 10
            sums = (inside * one.why.moments).sum(axis=1)[whole]
            assert starts[whole][sums.argmax()] == pytest.approx(one.start_s, abs=0.3)

    def test_the_reasons_are_those_for_what_was_said_rather_than_what_it_is(self, project):
        explain = explaining(project.network, load_material(project.root, project.params.frontend))
        rows = {row.track_id: row for row in project.tracks.itertuples()}
        for one in project.heard():
            against = explain(rows[one.track_id], one.genre, one.said)  # the other way round: its negative
            assert one.why.label == one.said
            assert abs(one.why.difference) > 1e-4
            assert one.why.difference == pytest.approx(-against.difference, rel=1e-3)
            np.testing.assert_allclose(one.why.bands, -against.bands, atol=1e-5)
            np.testing.assert_allclose(one.why.moments, -against.moments, atol=1e-5)

    @pytest.mark.parametrize("lost", ["missing", "another"])
    def test_a_song_that_is_out_of_reach_leaves_the_rest(self, project, lost):
        whole = project.heard()
        if lost == "missing":
            (project.root / "b.wav").unlink()
        else:
            (project.root / "b.wav").write_bytes((project.root / "c.wav").read_bytes())
        found = project.heard()
        assert [one.sound is None for one in found] == [False, True, False]
        for one, before in zip(found, whole, strict=True):
            assert replace(one, why=before.why, sound=before.sound) == before
            np.testing.assert_array_equal(one.why.bands, before.why.bands)
            np.testing.assert_array_equal(one.why.moments, before.why.moments)
        assert (found[0].sound, found[2].sound) == (whole[0].sound, whole[2].sound)

    def test_where_no_sound_is_wanted_there_is_none_and_the_reasons_stay(self, project):
        found = project.heard(excerpt_seconds=0.0)
        assert [one.sound for one in found] == [None] * 3
        assert all(np.abs(one.why.moments).max() > 0 for one in found)

    def test_when_the_page_is_full_further_songs_go_without_sound(self, project, monkeypatch):
        monkeypatch.setattr(mistakes, "MOST_SOUND_BYTES", len(project.heard()[0].sound) + 1)
        found = project.heard()
        assert [one.sound is None for one in found] == [False, False, True]
        assert all(np.abs(one.why.moments).max() > 0 for one in found)

    def test_without_mistakes_no_network_is_needed(self, tmp_path):
        project = Project(tmp_path)
        none = project.reports(mistakes=project.reports().mistakes.query("model == 'network'"))
        assert heard_mistakes(none, project.params, tmp_path / "nowhere") == []

    def test_with_mistakes_a_network_that_is_missing_is_an_error(self, project):
        with pytest.raises(ModelError, match="dvc repro"):
            heard_mistakes(project.reports(), project.params, project.root / "nowhere")


class Songs:
    """As `Material`: four songs of noise, the first of them to be explained."""

    def __init__(self, mels: int) -> None:
        self.table = pd.DataFrame({"place": range(4)})
        self.tracks = list(self.table.itertuples())
        rng = np.random.default_rng(0)
        self._heard = [rng.normal(size=(200, mels)).astype(np.float32) for _ in range(4)]

    def part(self, split: str):
        assert split == "train"
        return self.table

    def log_mel(self, row):
        return self._heard[row.place]
