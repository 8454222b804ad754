"""The songbook as a collection: small, but made from the real scores by the real road."""

import io
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from scipy.stats import kruskal

from earmark.catalogue.songbook.corpus import STYLES
from earmark.catalogue.songbook.making import UNFINISHED, make_songbook
from earmark.catalogue.track import read_tracks
from earmark.errors import CatalogueError
from earmark.files import sha256_of
from earmark.params import Songbook
from ending import all_end

SMALL = Songbook(seed=5, pieces_per_style=5, clip_seconds=2.0)
TINY = Songbook(seed=5, pieces_per_style=1, clip_seconds=1.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("project")
    make_songbook(SMALL, root, processes=2)
    return root


@pytest.fixture(scope="module")
def tracks(root) -> pd.DataFrame:
    return read_tracks(root / "data/collections/songbook/tracks.parquet")


@pytest.fixture(scope="module")
def waveforms(root, tracks) -> dict[str, np.ndarray]:
    def decoded(path: Path) -> np.ndarray:
        with av.open(io.BytesIO(path.read_bytes())) as container:
            return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])

    return {track.track_id: decoded(root / track.path) for track in tracks.itertuples()}


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


class TestCollection:
    def test_every_style_has_as_many_pieces_as_asked(self, tracks):
        assert tracks["genre"].value_counts().to_dict() == dict.fromkeys(STYLES, 5)

    def test_the_rows_say_what_the_files_are(self, root, tracks, waveforms):
        for track in tracks.itertuples():
            assert track.content_hash == sha256_of(root / track.path)
            assert track.track_id == Path(track.path).relative_to("data/collections/songbook/audio").as_posix()
            assert len(waveforms[track.track_id]) == track.duration_s * track.sample_rate_hz
            with av.open(str(root / track.path)) as container:
                stream = container.streams.audio[0]
                assert (stream.codec_context.name, stream.channels) == (track.codec, track.channels)

    def test_titles_composers_and_licences_are_known(self, tracks):
        assert tracks[["title", "artist", "licence"]].notna().all(axis=None)

    def test_movements_of_one_quartet_share_a_group(self, tracks):
        quartets = tracks[tracks["genre"] == "string quartet"]
        works = quartets["track_id"].str.extract(r"/(.*?)(?:-movement\d)?\.opus")[0]

        assert quartets.groupby(works.to_numpy())["group"].nunique().max() == 1

    def test_the_refusals_have_their_columns(self, root):
        refused = pd.read_csv(root / "data/collections/songbook/refused.csv")

        assert list(refused.columns) == ["path", "kind", "reason"]


class TestNothingButTheMusicTellsTheStyle:
    def test_every_clip_lasts_equally_long(self, waveforms):
        assert {len(waveform) for waveform in waveforms.values()} == {96_000}

    @pytest.mark.parametrize(
        "measure",
        [
            pytest.param(lambda w: np.sqrt(np.mean(w**2)), id="level"),
            pytest.param(lambda w: np.flatnonzero(np.abs(w) > 0.05 * np.abs(w).max())[0], id="leading silence"),
            pytest.param(lambda w: w.mean(), id="offset"),
            pytest.param(lambda w: np.sort(np.abs(w))[len(w) // 10], id="noise floor"),
        ],
    )
    def test_the_styles_do_not_differ_in(self, measure, tracks, waveforms):
        measured = tracks["track_id"].map(lambda name: measure(waveforms[name]))

        assert kruskal(*[values for _, values in measured.groupby(tracks["genre"])]).pvalue > 0.01

    def test_no_clip_is_clipped_or_silent(self, waveforms):
        for waveform in waveforms.values():
            assert 0.005 < np.abs(waveform).max() < 1.0


class TestMaking:
    def test_the_number_of_processes_changes_no_byte(self, tmp_path):
        alone, together = tmp_path / "alone", tmp_path / "together"

        assert files(make_songbook(TINY, alone, processes=1)) == files(make_songbook(TINY, together, processes=2))

    def test_a_piece_sounds_the_same_however_many_others_are_asked_for(self, root, tmp_path):
        few = make_songbook(Songbook(SMALL.seed, 1, SMALL.clip_seconds), tmp_path, processes=1)
        many = files(root / "data/collections/songbook/audio")

        assert files(few / "audio").items() <= many.items()

    def test_a_killed_run_leaves_no_collection_and_the_next_one_is_whole(self, tmp_path):
        script = (
            "from pathlib import Path; from earmark.params import Songbook\n"
            "from earmark.catalogue.songbook.making import make_songbook\n"
            f"if __name__ == '__main__': make_songbook(Songbook(5, 40, 1.0), Path({str(tmp_path)!r}), processes=2)\n"
        )
        run = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL, start_new_session=True)
        while not list((tmp_path / UNFINISHED).rglob("*.opus")):
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()
        run.wait()

        assert not (tmp_path / "data/collections/songbook").exists()
        assert files(make_songbook(TINY, tmp_path, processes=1)) == files(
            make_songbook(TINY, tmp_path / "other", processes=1)
        )
        assert all_end(run.pid), "a worker outlived its parent"

    def test_a_corpus_with_too_few_pieces_is_an_error_that_says_so(self, tmp_path, monkeypatch):
        from earmark.catalogue.songbook import making

        whole = making.candidates(5)
        monkeypatch.setattr(making, "candidates", lambda seed: whole | {"jig": []})

        with pytest.raises(CatalogueError, match="Only 0 pieces of the style jig"):
            make_songbook(Songbook(5, 1, 1.0), tmp_path, processes=1)
        assert not (tmp_path / "data/collections/songbook").exists()
