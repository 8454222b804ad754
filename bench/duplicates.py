"""Which copies of a recording are found, what is taken for a copy that is none, and how long a search takes.

Real music (the Emotify set; see README), each song with 26 planted copies (`copies.py`). Everything comes in through
the project's own doors: bytes are decoded, fingerprinted, searched, grouped. Thresholds were chosen on the songs with
odd numbers; what is reported here is measured on those with even numbers. Emotify holds some recordings twice, and two
remixes that quote their source; those pairs (`RELATED`) count neither way.

Time is that of the whole search, from fingerprints to groups, on as many processes as there are cores: for 1,000 and
10,000 real recordings and copies (27 of each song, so every song is in hundreds of pairs), and for 10,000, 100,000 and
1,000,000 made-up fingerprints of 210 s each (`made_fingerprints.py`), 1,000 of which are planted copies. Those are
written to 15 GB of files before the clock starts, and removed at the end.

    make bench-duplicates DATA=path/to/emotify

A run that was killed carries on: what was made of each song is kept under .earmark/bench/. Where `fpcalc` is installed,
Chromaprint's recall on the same copies stands beside.
"""

import argparse
import hashlib
import os
import pickle
import resource
import shutil
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import chromaprint
from copies import changes
from earmark.audio.decode import decode
from earmark.audio.fingerprint import FINGERPRINT_VERSION, Fingerprint, fingerprint
from earmark.catalogue.copies.candidates import Fingerprints
from earmark.catalogue.copies.duplicates import Pair, find_duplicates, groups
from earmark.files import replacing
from earmark.params import Duplicates, load_params, to_dict
from earmark.progress import progress
from earmark.workers import one_torch_thread
from earmark.workspace import PARAMS
from harness import write_result
from made_fingerprints import MadeFingerprints, StoredFingerprints, chance, store

ROOT = Path(__file__).parent.parent
KEPT = ROOT / ".earmark" / "bench" / "duplicates"
ORIGINAL = "original"
PLANTED = 1_000
UNRELATED_PEER_PAIRS = 2_000

# What Emotify holds twice by itself, found by this search and then looked at: equal artist and title in the files'
# tags, waveforms correlate above 0.93 from end to end.
SAME_RECORDING = [
    ("rock/70", "rock/76"),
    ("rock/72", "rock/75"),
    ("rock/63", "rock/66"),  # on two albums
    ("pop/59", "pop/66"),
    ("classical/54", "classical/80"),  # 2.05 s apart
]
# Remixes that begin with their source (waveforms correlate above 0.9 for 10 s, then no more): an excerpt from there is
# in both songs.
REMIX = [("pop/28", "rock/44"), ("electronic/28", "electronic/30")]
RELATED = {frozenset(pair) for pair in SAME_RECORDING + REMIX}


@dataclass(frozen=True)
class Copy:
    """One recording of the bench: of which song (``rock/7``), and by which change."""

    song: str
    change: str
    kind: str
    fingerprint: Fingerprint
    codes: NDArray[np.uint32]

    @property
    def reported(self) -> bool:
        """Thresholds were chosen on the other half."""
        return int(self.song.split("/")[1]) % 2 == 0


def main() -> None:
    """Run, or carry on, and write bench/results/duplicates.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--songs", type=int, default=400, help="how many songs, from all genres alike")
    parser.add_argument("--made", type=int, default=1_000_000, help="how many made-up fingerprints")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    settings = load_params(ROOT / PARAMS).duplicates
    files = sorted(
        (arguments.data / "emotifymusic").rglob("*.mp3"), key=lambda file: (int(file.stem), file.parent.name)
    )
    if not files:
        sys.exit(f"There are no songs in {arguments.data}/emotifymusic.")
    copies = make_all(files[: arguments.songs], arguments.processes)

    figures: dict[str, float] = {"songs": len({copy.song for copy in copies}), "recordings": len(copies)}
    for count in (1_000, 10_000):
        if len(copies) >= count:
            _, figures[f"seconds_{count}"] = search(Copies(copies[:count]), settings, arguments.processes)
    pairs, figures["seconds_all"] = search(Copies(copies), settings, arguments.processes)
    figures |= recalls(copies, {(pair.first, pair.second) for pair in pairs})
    false_figures, false = false_pairs(copies, pairs)
    figures |= false_figures
    if chromaprint.installed():
        figures |= peer(copies)
    other = {sorted(pair)[1] for pair in map(tuple, RELATED)}
    real = [copy.fingerprint for copy in copies if copy.change == ORIGINAL and copy.song not in other]
    notes = {
        "settings": to_dict(settings),
        "recall_by_change": by_change(copies, {(pair.first, pair.second) for pair in pairs}),
        "false_pairs": false,
        "duplicates_in_emotify": {
            "listed": SAME_RECORDING,
            "found_here": found_in_emotify(copies, settings, arguments.processes),
            "remixes": REMIX,
        },
    }
    path = write_result("duplicates", figures, **notes)  # what follows takes long
    made = MadeFingerprints(real, arguments.made, min(PLANTED, arguments.made // 10))
    stored = store(made, KEPT / f"made-{hashlib.sha256(pickle.dumps(made)).hexdigest()[:12]}", arguments.processes)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:  # so that its memory can be told
        figures |= alone.submit(at_scale, stored, made.planted(), settings, arguments.processes).result()
    sample = [stored[number] for number in range(min(len(real), len(stored) - made.copies))]
    figures |= {"made_chance_e12": 1e12 * chance(sample), "real_chance_e12": 1e12 * chance(real)}
    write_result("duplicates", figures, **notes)
    shutil.rmtree(stored.folder)
    for name, value in figures.items():
        print(f"{name:40s} {value:.4f}")
    print(f"written: {path.relative_to(ROOT)}")


# ------------------------------------------------------------------------------------------------ the recordings


def make_all(files: Sequence[Path], processes: int) -> list[Copy]:
    """The songs and their copies, song by song."""
    described = repr([(change.kind, change.name) for change in changes()]) + str(chromaprint.installed())
    key = hashlib.sha256(f"{FINGERPRINT_VERSION} {described}".encode()).hexdigest()[:12]
    kept = KEPT / key
    tasks = [(file, kept / file.parent.name / f"{file.stem}.npz") for file in files]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=one_torch_thread) as pool:
        for _ in progress(pool.map(_make, tasks), description="copies", total=len(tasks), unit="song"):
            pass
    kinds = {ORIGINAL: ORIGINAL} | {change.name: change.kind for change in changes()}
    copies = []
    for file, stored in tasks:
        with np.load(stored) as arrays:
            song = f"{file.parent.name}/{file.stem}"
            for name, kind in kinds.items():
                copies.append(Copy(song, name, kind, arrays[name], arrays[f"{name} codes"]))
    return copies


def _make(task: tuple[Path, Path]) -> None:
    file, stored = task
    if stored.exists():
        return
    recording = decode(file)
    samples = recording.waveform.numpy()
    arrays: dict[str, Any] = {}
    made = {ORIGINAL: file.read_bytes()}
    for number, change in enumerate(changes()):
        random = np.random.default_rng([zlib.crc32(f"{file.parent.name}/{file.stem}".encode()), number])
        made[change.name] = change.make(samples, recording.sample_rate_hz, random)
    for name, content in made.items():
        arrays[name] = fingerprint(content)
        found = chromaprint.codes(content) if chromaprint.installed() else np.empty(0, np.uint32)
        arrays[f"{name} codes"] = found
    with replacing(stored) as part, part.open("wb") as out:
        np.savez(out, **arrays)


# -------------------------------------------------------------------------------------------- search and figures


@dataclass(frozen=True)
class Copies:
    """The fingerprints of copies, by number."""

    copies: Sequence[Copy]

    def __len__(self) -> int:
        return len(self.copies)

    def __getitem__(self, number: int) -> Fingerprint:
        return self.copies[number].fingerprint


def search(fingerprints: Fingerprints, settings: Duplicates, processes: int) -> tuple[list[Pair], float]:
    """All pairs, and how long it took from fingerprints to groups, in seconds. No hash is equal: all are searched."""
    count = len(fingerprints)
    start = time.perf_counter()
    pairs = find_duplicates(
        [str(number) for number in range(count)],
        [None] * count,
        fingerprints,
        settings,
        processes=processes,
        scratch=KEPT,
    )
    groups(pairs, count)
    return pairs, time.perf_counter() - start


def found_in_emotify(copies: Sequence[Copy], settings: Duplicates, processes: int) -> list[tuple[str, str]]:
    """Those of `SAME_RECORDING` that are paired where the originals alone are searched.

    Among their copies, what is there 54 times has words so popular that they are left out.
    """
    originals = [copy for copy in copies if copy.change == ORIGINAL]
    pairs, _ = search(Copies(originals), settings, processes)
    found = {frozenset((originals[pair.first].song, originals[pair.second].song)) for pair in pairs}
    return [pair for pair in SAME_RECORDING if frozenset(pair) in found]


def recalls(copies: Sequence[Copy], found: set[tuple[int, int]]) -> dict[str, float]:
    """By kind of change, the share of copies paired directly with their original, and Wilson's 95 % interval."""
    figures: dict[str, float] = {}
    for kind, hits in _hits(copies, found, lambda copy: copy.kind).items():
        low, high = wilson(sum(hits), len(hits))
        name = f"recall_{kind}"
        figures |= {name: float(np.mean(hits)), f"{name}_low": low, f"{name}_high": high, f"{name}_n": len(hits)}
    return figures


def by_change(copies: Sequence[Copy], found: set[tuple[int, int]]) -> dict[str, float]:
    """The same share for each single change."""
    return {name: round(float(np.mean(hits)), 4) for name, hits in _hits(copies, found, lambda c: c.change).items()}


def _hits(copies: Sequence[Copy], found: set[tuple[int, int]], name: Any) -> dict[str, list[bool]]:
    hits: dict[str, list[bool]] = defaultdict(list)
    original = -1
    for number, copy in enumerate(copies):
        if copy.change == ORIGINAL:
            original = number
        elif copy.reported:
            hits[name(copy)].append((original, number) in found)
    return hits


def false_pairs(copies: Sequence[Copy], pairs: Iterable[Pair]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Pairs found between unrelated songs, both of the reported half, a million of such pairs; and all that there are.

    The upper bound is Poisson's, one-sided, at 95 %.
    """
    from scipy.stats import chi2

    songs: dict[str, int] = defaultdict(int)
    for copy in copies:
        songs[copy.song] += copy.reported
    reported = sum(songs.values())
    possible = (reported**2 - sum(count**2 for count in songs.values())) / 2
    possible -= sum(songs[one] * songs[two] for one, two in map(tuple, RELATED) if one in songs and two in songs)
    wrong, listed = 0, []
    for pair in pairs:
        one, two = copies[pair.first], copies[pair.second]
        if one.song == two.song or frozenset((one.song, two.song)) in RELATED:
            continue
        wrong += one.reported and two.reported
        listed.append({"first": [one.song, one.change], "second": [two.song, two.change], **vars(pair.alignment)})
    upper = float(chi2.ppf(0.95, 2 * wrong + 2)) / 2
    millions = max(possible, 1) / 1e6
    figures = {
        "false_pairs_per_million": wrong / millions,
        "false_pairs_per_million_high": upper / millions,
        "unrelated_pairs": possible,
        "false_pairs_both_halves": len(listed),
    }
    return figures, listed


def at_scale(
    made: StoredFingerprints, planted: set[tuple[int, int]], settings: Duplicates, processes: int
) -> dict[str, float]:
    """The search among made-up fingerprints: time, memory, planted copies found, pairs found that are none.

    Call it in a process of its own: the memory is that of this process at its highest and, for each of the others, that
    of the highest.
    """
    figures = {}
    for part in (10_000, 100_000):
        if part < len(made):
            _, figures[f"seconds_made_{part}"] = search(StoredFingerprints(made.folder, part), settings, processes)
    pairs, seconds = search(made, settings, processes)
    own, other = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    found = {(pair.first, pair.second) for pair in pairs}
    return figures | {
        f"seconds_{len(made)}": seconds,
        "peak_mib": (own + (processes * other if processes > 1 else 0)) / 1024,
        "made_recall": len(found & planted) / len(planted),
        "made_false_pairs": len(found - planted),
    }


def peer(copies: Sequence[Copy]) -> dict[str, float]:
    """Chromaprint's recall by kind, at the highest threshold that takes no unrelated pair of the other half.

    That is a threshold for one false pair in some thousands, not in a million: it flatters Chromaprint.
    """
    originals = {copy.song: copy for copy in copies if copy.change == ORIGINAL}
    random = np.random.default_rng(1)
    others = [copy for copy in copies if not copy.reported]
    least = 0.5
    for _ in range(UNRELATED_PEER_PAIRS):
        one, two = (others[int(number)] for number in random.integers(0, len(others), 2))
        if one.song != two.song and frozenset((one.song, two.song)) not in RELATED:
            least = min(least, chromaprint.difference(one.codes, two.codes))
    hits: dict[str, list[bool]] = defaultdict(list)
    reported = [copy for copy in copies if copy.reported and copy.change != ORIGINAL]
    for copy in progress(reported, description="chromaprint", unit="pair"):
        hits[copy.kind].append(chromaprint.difference(originals[copy.song].codes, copy.codes) < least)
    return {"chromaprint_threshold": least} | {
        f"chromaprint_recall_{kind}": float(np.mean(found)) for kind, found in hits.items()
    }


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share."""
    share, extra = hits / of, z * z / of
    middle = (share + extra / 2) / (1 + extra)
    half = z * np.sqrt(share * (1 - share) / of + extra / of / 4) / (1 + extra)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


if __name__ == "__main__":
    main()
