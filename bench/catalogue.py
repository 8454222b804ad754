"""What does a catalogue of a million tracks cost? Imported, validated and split, each in a process of its own.

The rows are made up, and realistic: 80,000 artists of very different size, 20 genres, tags, ISRCs, licences, lengths
and rates as music has them; two in a hundred break a rule. The audio is said to lie in a bucket, its facts to be known
(`earmark import table --measured --store outside`), for decoding a million songs is another question
(bench/features.py). A tenth of the rows goes the same way first, so that the growth can be seen.

What 10,000 small files cost DVC, as files and in archives, is measured by bench/dvc_files.py and reported here too.

    python bench/catalogue.py
"""

import argparse
import csv
import dataclasses
import hashlib
import multiprocessing
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dvc_files import measure_dvc
from earmark.adapters import expectations
from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.sources.table import TableSource
from earmark.params import Params, load_params
from earmark.stages import split, validate
from earmark.workspace import CATALOGUE, COLLECTIONS, DUPLICATES, EXPECTATIONS, PARAMS, SPLITS, TAXONOMY, TRACKS
from harness import write_result

ROOT = Path(__file__).parent.parent
ARTISTS, GENRES = 80_000, 20
STEPS = ("import", "validate", "split")


def main() -> None:
    """Run, and write bench/results/catalogue.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    scratch = ROOT / ".earmark" / "bench" / "catalogue"
    figures: dict[str, float] = {}
    for rows in (arguments.rows // 10, arguments.rows):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        for name in (PARAMS, EXPECTATIONS, TAXONOMY):
            (scratch / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, scratch / name)
        write_table(scratch / "rows.csv", rows)
        suffix = "" if rows == arguments.rows else f"_{rows}"
        peaks = []
        for step in STEPS:
            seconds, mib = alone(step, scratch)
            figures[f"{step}_s{suffix}"] = seconds
            figures[f"{step}_peak_mib{suffix}"] = mib
            peaks.append(mib)
            print(f"{rows:>9,} rows  {step:8s} {seconds:7.1f} s  {mib:6.0f} MiB", flush=True)
        figures[f"peak_mib{suffix}"] = max(peaks)
        figures[f"accepted{suffix}"] = len(pd.read_parquet(scratch / CATALOGUE, columns=["track_id"]))
        sides = pd.read_parquet(scratch / SPLITS)["split"].value_counts(normalize=True)
        figures |= {f"share_{side}{suffix}": float(share) for side, share in sides.items()}
    shutil.rmtree(scratch)
    figures |= measure_dvc()
    path = write_result("catalogue", figures, rows=arguments.rows)
    print(f"written: {path.relative_to(ROOT)}")


def write_table(path: Path, rows: int) -> None:
    """A made-up catalogue of ``rows`` rows, as a label's database might export it; 2 % of them break a rule."""
    rng = np.random.default_rng(rows)
    size = rng.lognormal(0, 1.5, ARTISTS)  # many artists of a few tracks, a few of hundreds
    artist = rng.choice(ARTISTS, rows, p=size / size.sum())
    home = rng.integers(0, GENRES, ARTISTS)
    genre = np.where(rng.random(rows) < 0.9, home[artist], rng.integers(0, GENRES, rows))
    seconds = np.clip(rng.lognormal(5.4, 0.35, rows), 4, 3_000)
    broken = rng.random(rows)
    seconds = np.where(broken < 0.01, 0.5, seconds)
    rate = rng.choice([44_100, 48_000, 96_000], rows, p=[0.9, 0.08, 0.02])
    year = rng.integers(1960, 2026, rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["path", "title", "artist", "album", "isrc", "genre", "tags", "licence", "content_hash", "duration_s",
             "sample_rate_hz", "channels", "codec"]
        )  # fmt: skip
        for number in range(rows):
            name = f"{number:07d}"
            table.writerow([
                f"s3://catalogue/{name[:4]}/{name}.flac",
                f"Song {name}",
                f"Artist {artist[number]}",
                f"Album {artist[number]}-{number % 9}",
                f"QZABC{year[number] % 100:02d}{number % 100_000:05d}",
                "" if 0.01 <= broken[number] < 0.02 else f"genre {genre[number]}",
                f"mood---{number % 37};instrument---{number % 11}",
                "all rights reserved",
                hashlib.sha256(name.encode()).hexdigest(),
                f"{seconds[number]:.3f}",
                rate[number],
                2,
                "flac",
            ])  # fmt: skip


def alone(step: str, root: Path) -> tuple[float, float]:
    """Seconds and peak memory in MiB of one step in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (step, root))


def measured(step: str, root: Path) -> tuple[float, float]:
    """Run one step here; imports of libraries are not counted, their memory is."""
    params = load_params(root / PARAMS)
    steps: dict[str, Callable[[Params, Path], Any]] = {
        "import": lambda params, root: import_collection(
            TableSource(root / "rows.csv", measured=True), root, params, name="million", store="outside"
        ),
        "validate": lambda params, root: validate.run(
            in_use(params), root, judge=expectations.judging(root / EXPECTATIONS, params)
        ),
        "split": lambda params, root: split.run(params, root),
    }
    if step == "validate":
        write_duplicates(root)
    start = time.perf_counter()
    steps[step](params, root)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_duplicates(root: Path) -> None:
    """As the stage `duplicates` would: 5,000 artists have a song twice; of every twentieth, another has it too."""
    tracks = pd.read_parquet(root / COLLECTIONS / "million" / TRACKS, columns=["track_id", "group"])
    chosen = tracks["group"].drop_duplicates().sample(5_000, random_state=1)
    twice = tracks[tracks["group"].isin(chosen)].groupby("group").head(2)
    song = pd.factorize(twice["group"])[0]
    found = pd.DataFrame({"track_id": twice["track_id"], "duplicate_group": (song - (song % 20 == 1)).astype(str)})
    found.assign(unreadable=None).to_parquet(root / DUPLICATES)


def in_use(params: Params) -> Params:
    """With the collection of this bench as the catalogue."""
    return dataclasses.replace(params, catalogue=dataclasses.replace(params.catalogue, collection="million"))


if __name__ == "__main__":
    main()
