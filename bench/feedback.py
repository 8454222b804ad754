"""What feedback costs, and how good is what is made of it.

1. A million events in Spotify's extended format and in ListenBrainz's, through the door into SQLite: read, matched with
   a catalogue, judged by Great Expectations, hashed, stored, flagged. Beside it the peer: pandas, as a data team would
   write it in an afternoon (read_json, drop_duplicates, to_sql), which does a part of that. Each in a process of its
   own; memory at the half and at the whole.
2. Ten million events in the store; its snapshot, the evidence and all targets.
3. Emotify: noise ceilings of the listeners' answers, and how often answers of held-out listeners lie within the
   intervals that the others predict.
4. The simulator's worlds, of seeds that were never used for choosing anything: errors of the estimates and of the raw
   share at every level of evidence, bias with and without correction of exposure, coverage of the true appeal, and
   categories recovered, by earmark and by k-means on the raw counts.

    python bench/feedback.py path/to/emotify
"""

import argparse
import dataclasses
import json
import multiprocessing
import resource
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earmark.adapters.feedback_rules import judging_feedback
from earmark.catalogue.labels.matching import Known
from earmark.feedback.door import Importer
from earmark.feedback.estimates.evidence import pair_up
from earmark.feedback.estimates.factors import factorise
from earmark.feedback.estimates.files import Evidence, write_evidence
from earmark.feedback.estimates.listening import read_listening
from earmark.feedback.estimates.targets import make_targets
from earmark.feedback.estimates.words import in_vocabulary
from earmark.feedback.identity import ListenerKey
from earmark.feedback.simulation.songs import made_up_tracks
from earmark.feedback.simulation.world import set_scene
from earmark.feedback.snapshot import LISTENERS, table_of, write_snapshot
from earmark.feedback.sources.listenbrainz import ListenBrainzListens
from earmark.feedback.sources.source import FeedbackSource
from earmark.feedback.sources.spotify import SpotifyHistory
from earmark.feedback.store import Store
from earmark.feedback.tracks import Tracks
from earmark.params import load_params
from feedback_emotify import emotify_figures
from feedback_worlds import store_scene, world_figures
from harness import write_result

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / ".earmark" / "bench" / "feedback"
EVENTS, STORED = 1_000_000, 10_000_000
KEY = ListenerKey(b"nobody in these files is a person")
SONGS, USERS, ROWS_A_FILE = 50_000, 400, 16_000
FIRST_S, LAST_S = 1_420_070_400, 1_735_689_600  # 2015 to 2025


def main() -> None:
    """Run, and write bench/results/feedback.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("emotify", type=Path, help="the folder of the Emotify data set, with data.csv")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--stored", type=int, default=STORED)
    arguments = parser.parse_args()
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    figures: dict[str, float] = {}
    for name, write in (("spotify", write_spotify), ("listenbrainz", write_listenbrainz)):
        for events in (arguments.events // 2, arguments.events):
            folder = SCRATCH / f"{name}-{events}"
            alone(write, folder, events)  # a child begins with its parent's peak, so the parent stays small
            seconds, peak, stored = alone(measured_import, name, folder)
            assert stored == events, (stored, events)
            suffix = "" if events == arguments.events else "_half"
            figures[f"{name}_events_per_minute{suffix}"] = events / seconds * 60
            figures[f"{name}_peak_mib{suffix}"] = peak
            print(f"{name:13s} {events:>9,} events  {seconds:6.1f} s  {peak:5.0f} MiB", flush=True)
        seconds, peak, _ = alone(measured_pandas, name, SCRATCH / f"{name}-{arguments.events}")
        figures[f"{name}_pandas_events_per_minute"] = arguments.events / seconds * 60
        figures[f"{name}_pandas_peak_mib"] = peak
        figures[f"{name}_ratio_vs_pandas"] = figures[f"{name}_events_per_minute"] / (arguments.events / seconds * 60)
        print(f"{name:13s} pandas            {seconds:6.1f} s  {peak:5.0f} MiB", flush=True)
    figures["peak_mib_1m"] = max(figures["spotify_peak_mib"], figures["listenbrainz_peak_mib"])
    shutil.rmtree(SCRATCH)
    SCRATCH.mkdir(parents=True)
    figures |= alone(measured_store, arguments.stored)
    shutil.rmtree(SCRATCH)
    figures |= alone(emotify_figures, arguments.emotify)
    figures |= alone(world_figures)
    for name, value in figures.items():
        print(f"  {name:42s} {value:,.4f}")
    path = write_result("feedback", figures, events=arguments.events, stored=arguments.stored)
    print(f"written: {path.relative_to(ROOT)}")


def alone(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def measured_import(name: str, folder: Path) -> tuple[float, float, int]:
    """Seconds, peak memory in MiB and stored events of one import; Great Expectations' own start is not counted."""
    params = load_params(ROOT / "params.yaml")
    judge = judging_feedback(ROOT / "expectations.yaml", params)
    known = (
        Known(f"t{n}", f"Song of something {n}", f"Some Artist {n % 997}", None, None, 200.0) for n in range(10_000)
    )
    source: FeedbackSource = SpotifyHistory(folder) if name == "spotify" else ListenBrainzListens(folder)
    start = time.perf_counter()
    with Store(f"sqlite:///{folder}/feedback.db") as store:
        door = Importer(store, KEY, judge, int(LAST_S * 1e6), Tracks(known))
        told = door.run(source, folder / "refused.csv")
        seconds = time.perf_counter() - start
        assert told.rows == told.told + sum(told.refused.values())
        return seconds, _peak_mib(), store.counts()["events"]


def measured_pandas(name: str, folder: Path) -> tuple[float, float, int]:
    """The peer: a frame for each file, duplicates dropped, into a table of SQLite."""
    import sqlalchemy as sa

    engine = sa.create_engine(f"sqlite:///{folder}/pandas.db")
    start, events = time.perf_counter(), 0
    for file in sorted(folder.rglob("*.json")) + sorted(folder.rglob("*.listens")):
        if name == "spotify":
            frame = pd.read_json(file)
            frame["at"] = pd.to_datetime(frame["ts"])
            kept = frame[["at", "username", "spotify_track_uri", "ms_played", "reason_start", "reason_end"]]
        else:
            frame = pd.json_normalize([json.loads(line) for line in file.open(encoding="utf-8")])
            frame["at"] = pd.to_datetime(frame["listened_at"], unit="s")
            kept = frame[["at", "user_name", "track_metadata.track_name", "track_metadata.artist_name"]]
        kept = kept.drop_duplicates()
        kept.to_sql("events", engine, if_exists="append", index=False)
        events += len(kept)
    return time.perf_counter() - start, _peak_mib(), events


def measured_store(events: int) -> dict[str, float]:
    """Seconds for ten million events: into the store, out as a snapshot, evidence, targets."""
    params = load_params(ROOT / "params.yaml")
    tracks = made_up_tracks(2_000)
    listeners = max(1_000, round(130_000 * events / STORED))
    scene = set_scene(tracks, dataclasses.replace(params.listeners, listeners=listeners, bots=0))
    seconds: dict[str, float] = {}
    catalogue = scene.songs[scene.songs["track_id"].notna()].sort_values("track_id", ignore_index=True)
    with Store(f"sqlite:///{SCRATCH}/feedback.db") as store:
        start = time.perf_counter()
        stored = store_scene(scene, store, events)
        seconds["store_10m_s"] = time.perf_counter() - start
        start = time.perf_counter()
        write_snapshot(store, SCRATCH / "snapshot")
        seconds["snapshot_10m_s"] = time.perf_counter() - start
    start = time.perf_counter()
    columns = (catalogue[name].tolist() for name in ("track_id", "title", "artist", "duration_s"))
    rows = zip(*columns, strict=True)
    known = (Known(track_id, title, artist, None, None, length_s) for track_id, title, artist, length_s in rows)
    listening = read_listening(SCRATCH / "snapshot", catalogue, Tracks(known), params.feedback.bot_days)
    pairs = pair_up(listening.doings, listening.now_us, params.targets)
    factors = factorise(pairs, params.categories)
    attributes = table_of(SCRATCH / "snapshot", LISTENERS).to_pandas()
    ids = catalogue["track_id"].tolist()
    limits = params.targets
    least = max(limits.min_word_listeners, params.feedback.min_listeners)
    said = in_vocabulary(listening.said, min_listeners=least, max_share=limits.max_word_share)
    evidence = Evidence(ids, pairs, said, listening.counts, attributes, factors, listening.now_us)
    write_evidence(evidence, SCRATCH / "evidence")
    seconds["evidence_10m_s"] = time.perf_counter() - start
    start = time.perf_counter()
    table, _ = make_targets(evidence, params.targets, params.feedback.min_listeners)
    seconds["estimates_10m_s"] = time.perf_counter() - start
    seconds["targets_10m_s"] = seconds["snapshot_10m_s"] + seconds["evidence_10m_s"] + seconds["estimates_10m_s"]
    appeal = table[(table["target"] == "appeal") & (table["segment"] == "all")]
    truth = catalogue["appeal"].to_numpy()[appeal["track"]]
    error = appeal["estimate"].to_numpy() - truth
    print(
        f"{stored:,} events stored; {', '.join(f'{name} {value:.1f}' for name, value in seconds.items())}", flush=True
    )
    return {
        **seconds,
        "stored_events": float(stored),
        "targets_10m_peak_mib": _peak_mib(),
        "appeal_10m_rmse": float(np.sqrt((error**2).mean())),
    }


def write_spotify(folder: Path, events: int) -> None:
    """An extended export of `USERS` people in the older form, in files as large as Spotify's."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(events)
    times = np.sort(rng.integers(FIRST_S, LAST_S, events))
    songs = np.minimum(rng.pareto(0.7, events), SONGS - 1).astype(int)
    users, ms = rng.integers(0, USERS, events), rng.integers(0, 300_000, events)
    ends = rng.choice(["trackdone", "fwdbtn", "endplay", "backbtn"], events, p=[0.6, 0.3, 0.08, 0.02])
    for number, start in enumerate(range(0, events, ROWS_A_FILE)):
        rows = [
            {
                "ts": f"{datetime.fromtimestamp(int(times[n]), UTC):%Y-%m-%dT%H:%M:%SZ}",
                "username": f"user{users[n]}",
                "platform": "Android OS 11 API 30 (samsung, SM-G973F)",
                "ms_played": int(ms[n]),
                "conn_country": "DE",
                "ip_addr_decrypted": "203.0.113.7",
                "user_agent_decrypted": "unknown",
                "master_metadata_track_name": f"Song of something {songs[n]}",
                "master_metadata_album_artist_name": f"Some Artist {songs[n] % 997}",
                "master_metadata_album_album_name": f"An Album {songs[n] % 5000}",
                "spotify_track_uri": f"spotify:track:{songs[n]:022d}",
                "episode_name": None,
                "episode_show_name": None,
                "spotify_episode_uri": None,
                "reason_start": "clickrow" if n % 3 == 0 else "trackdone",
                "reason_end": str(ends[n]),
                "shuffle": False,
                "skipped": None,
                "offline": False,
                "offline_timestamp": int(times[n]) * 1000,
                "incognito_mode": False,
            }
            for n in range(start, min(start + ROWS_A_FILE, events))
        ]
        (folder / f"endsong_{number}.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


def write_listenbrainz(folder: Path, events: int) -> None:
    """A dump as ListenBrainz has it: a file for each month, a listen for each line."""
    rng = np.random.default_rng(events + 1)
    times = np.sort(rng.integers(FIRST_S, LAST_S, events))
    songs = np.minimum(rng.pareto(0.7, events), SONGS - 1).astype(int)
    users = rng.integers(0, USERS, events)
    lines: dict[Path, list[str]] = {}
    for n in range(events):
        at = datetime.fromtimestamp(int(times[n]), UTC)
        song = int(songs[n])
        row = {
            "user_id": int(users[n]),
            "user_name": f"user{users[n]}",
            "timestamp": int(times[n]),
            "listened_at": int(times[n]),
            "recording_msid": f"{song:08x}-0000-4000-8000-000000000000",
            "track_metadata": {
                "artist_name": f"Some Artist {song % 997}",
                "track_name": f"Song of something {song}",
                "release_name": f"An Album {song % 5000}",
                "additional_info": {
                    "duration_ms": 200_000,
                    "duration_played": int(rng.integers(1, 200)),
                    "media_player": "BrainzPlayer",
                    "submission_client": "BrainzPlayer",
                    "music_service": "spotify.com",
                    "tags": [],
                },
                "mbid_mapping": {
                    "recording_mbid": f"{song:08x}-1111-4000-8000-000000000000",
                    "artist_mbids": ["00000000-2222-4000-8000-000000000000"],
                },
            },
        }
        lines.setdefault(folder / "listens" / str(at.year) / f"{at.month}.listens", []).append(json.dumps(row))
    for file, rows in lines.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
