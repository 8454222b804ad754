"""The stage `split`: what it writes, counted another way."""

import json

import pandas as pd

from earmark.catalogue.splits import SIDES
from earmark.catalogue.track import Track, write_tracks
from earmark.params import load_params
from earmark.stages import split
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")


def test_writes_the_side_of_every_track_and_counts_that_agree(tmp_path):
    tracks = [
        Track(
            f"{genre}/{n}.mp3",
            f"x/{n}.mp3",
            "0" * 64,
            4.0,
            48_000,
            2,
            "mp3",
            "folder",
            f"artist:{genre} {n // 2}",
            genre,
        )
        for genre in ("jazz", "rock")
        for n in range(40)
    ]
    write_tracks(tracks, tmp_path / "data/catalogue.parquet")
    same = pd.DataFrame({"track_id": ["jazz/0.mp3", "jazz/9.mp3"], "duplicate_group": "jazz/0.mp3"})
    same.to_parquet(tmp_path / "data/duplicates.parquet")
    split.run(PARAMS, tmp_path)
    written = pd.read_parquet(tmp_path / "data/splits.parquet")
    assert list(written.columns) == ["track_id", "split", "group", "genre"]
    assert written["track_id"].tolist() == sorted(track.track_id for track in tracks)
    report = json.loads((tmp_path / "reports/split.json").read_text(encoding="utf-8"))
    assert report["tracks"] == {side: written["split"].tolist().count(side) for side in SIDES}
    for genre in ("jazz", "rock"):
        sides = written.loc[written["track_id"].str.startswith(genre), "split"].tolist()
        assert report["genres"][genre] == {side: sides.count(side) for side in SIDES}
        assert all(report["genres"][genre].values())
    assert sum(report["groups"].values()) == 39  # one recording of two artists joins them
    assert report["groups_joined"] == 1

    once = (tmp_path / "data/splits.parquet").read_bytes()
    split.run(PARAMS, tmp_path)
    assert (tmp_path / "data/splits.parquet").read_bytes() == once
