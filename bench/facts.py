"""How good tempo, key and loudness are, how honest their confidences, and what they cost.

Beside them, on the same recordings, stands librosa as people use it: `librosa.feature.tempo` with its defaults at
22,050 Hz, and Krumhansl and Kessler's profiles correlated with the mean of `librosa.feature.chroma_cqt`.

* Tempo and key: music whose truth is known (`facts_music`), of the side ``check``. Accuracy 1 is a tempo within 4 % of
  the tapped beat; Accuracy 2 forgives a factor of 2, 3, 1/2 or 1/3 (Gouyon et al., 2006). A key is right with tonic and
  mode; MIREX's score gives part of it for a fifth above, the relative and the parallel key. No answer counts as wrong.
* Calibration: of all answers, those to drums, drones and noise among them, which are always wrong: the expected
  calibration error over ten bins of equal size, what it would be by chance alone, and confidence against accuracy by
  thirds.
* Real songs have no truth here: on a hundred of Emotify's it is measured how often librosa agrees, by thirds of
  confidence.
* Loudness: Emotify's songs at their own rate (`earmark.audio.metering`) are the truth for the mono waveform at 16 kHz;
  and the same with sides made from them, so that they are stereo. The meter itself is held against torchaudio's.

``--fit`` instead fits the confidences' weights on the side ``fit`` and prints them: they are constants in
`earmark.audio.facts`. Intervals are of 95 %, by 2,000 draws of families.

    make bench-facts DATA=path/to/emotify
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from copies import encode, resample
from earmark.audio.decode import decode
from earmark.audio.facts import facts_of
from earmark.audio.facts.key import TONICS, tonality_of
from earmark.audio.facts.stretches import stretches
from earmark.audio.facts.tempo import beat_of
from earmark.audio.metering import measure
from earmark.progress import progress
from earmark.workers import Workers
from facts_music import RATE_HZ, Known, Wanted, render, wanted
from harness import write_result

ROOT = Path(__file__).parent.parent
LIBROSA_HZ = 22_050
OCTAVES = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
DRAWS, BINS = 2000, 10
REAL_SONGS = 100  # for librosa, which takes its time
KRUMHANSL = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)

Floats = NDArray[np.float64]
KeyNumbers = tuple[int, bool]


@dataclass(frozen=True)
class Told:
    """What was told of one recording; None where nothing was."""

    bpm: float | None
    bpm_confidence: float
    key: KeyNumbers | None
    key_confidence: float
    librosa_bpm: float
    librosa_key: KeyNumbers


@dataclass(frozen=True)
class Levels:
    """Loudness of one song, in LUFS: of the file, by torchaudio, and of the mono waveform; the same made stereo."""

    file: float | None
    torchaudio: float
    mono: float | None
    stereo_file: float | None
    stereo_mono: float | None


def main() -> None:
    """Run, and write bench/results/facts.json; or fit, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="the folder that holds emotifymusic/")
    parser.add_argument("--fit", action="store_true", help="fit the weights of the confidences, and print them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.fit:
        fit()
        return
    songs = sorted((arguments.data / "emotifymusic").rglob("*.mp3")) if arguments.data else []
    if not songs:
        raise SystemExit(f"{arguments.data} holds no emotifymusic/*/*.mp3.")
    figures = costs()
    with Workers(None, torch.set_num_threads, 1) as pool:
        asked = wanted("check")
        pairs = list(progress(pool.map(_asked, asked, chunksize=4), description="known music", total=len(asked)))
        figures |= tempo_figures(pairs) | key_figures(pairs)
        levels = list(progress(pool.map(_levels, songs, chunksize=4), description="loudness", total=len(songs)))
        some = songs[:: max(1, len(songs) // REAL_SONGS)]
        real = list(progress(pool.map(_told_of, some, chunksize=4), description="real songs", total=len(some)))
    figures |= agreement_figures(real) | loudness_figures(levels)
    path = write_result("facts", figures, peer=f"librosa {version('librosa')}", songs=len(songs))
    for name, value in figures.items():
        print(f"{name:48s} {value:.4g}")
    print(f"written: {path.relative_to(ROOT)}")


# Answers.


def _asked(what: Wanted) -> tuple[Known, Told]:
    known = render(what)
    return dataclasses.replace(known, samples=np.zeros(0, np.float32)), told(known.samples)


def told(samples: NDArray[np.float32]) -> Told:
    """What both say of a waveform at `RATE_HZ`."""
    facts = facts_of(torch.from_numpy(samples), RATE_HZ, loudness_lufs=None)
    theirs = resample(samples[None], RATE_HZ, LIBROSA_HZ)[0]
    return Told(
        bpm=facts.tempo.bpm if facts.tempo else None,
        bpm_confidence=facts.tempo.confidence if facts.tempo else 0.0,
        key=(TONICS.index(facts.key.tonic), facts.key.mode == "minor") if facts.key else None,
        key_confidence=facts.key.confidence if facts.key else 0.0,
        librosa_bpm=librosa_tempo(theirs),
        librosa_key=librosa_key(theirs),
    )


def librosa_tempo(samples: NDArray[np.float32]) -> float:
    """By `librosa.feature.tempo`."""
    import librosa

    return float(librosa.feature.tempo(y=samples, sr=LIBROSA_HZ)[0])


def librosa_key(samples: NDArray[np.float32]) -> KeyNumbers:
    """The best correlation of Krumhansl and Kessler's profiles with the mean chroma."""
    import librosa

    chroma = librosa.feature.chroma_cqt(y=samples, sr=LIBROSA_HZ).mean(axis=1)
    likeness = [np.corrcoef(chroma, np.roll(profile, tonic))[0, 1] for profile in KRUMHANSL for tonic in range(12)]
    best = int(np.argmax(likeness))
    return best % 12, best >= 12


# Figures.


def tempo_figures(pairs: Sequence[tuple[Known, Told]]) -> dict[str, float]:
    """Accuracies, of all and by kind; calibration; answers where there is no beat."""
    beaten = [(known, told) for known, told in pairs if known.bpm]
    families = np.array([known.family for known, _ in beaten])
    figures: dict[str, float] = {"tempo_n": len(beaten)}
    scores: dict[str, dict[str, Floats]] = {}
    for name, factors in (("accuracy1", (1.0,)), ("accuracy2", OCTAVES)):
        scores[name] = {
            "earmark": np.array([_right_tempo(told.bpm, known.bpm, factors) for known, told in beaten], float),
            "librosa": np.array([_right_tempo(told.librosa_bpm, known.bpm, factors) for known, told in beaten], float),
        }
        figures |= _compared(f"tempo_{name}", scores[name], families)
    figures |= _by_kind("tempo_accuracy2", scores["accuracy2"], [known.kind for known, _ in beaten])
    figures |= _by_kind("tempo_accuracy1", scores["accuracy1"], [known.kind for known, _ in beaten])
    close = [
        abs(told.bpm / known.bpm - 1)
        for known, told in beaten
        if told.bpm and known.bpm and _right_tempo(told.bpm, known.bpm, (1.0,))
    ]
    figures |= {"tempo_error_median": float(np.median(close)), "tempo_error_p95": float(np.quantile(close, 0.95))}
    answers = [
        (told.bpm_confidence, _right_tempo(told.bpm, known.bpm, OCTAVES), known) for known, told in pairs if told.bpm
    ]
    figures |= _calibration("tempo", answers)
    return figures | _nothing_there(
        "tempo", [(known.kind, told.bpm_confidence) for known, told in pairs if not known.bpm]
    )


def key_figures(pairs: Sequence[tuple[Known, Told]]) -> dict[str, float]:
    """The same for keys."""
    keyed = [(known, told) for known, told in pairs if known.key]
    families = np.array([known.family for known, _ in keyed])
    right = {
        "earmark": np.array([told.key == known.key for known, told in keyed], float),
        "librosa": np.array([told.librosa_key == known.key for known, told in keyed], float),
    }
    mirex = {
        "earmark": np.array([mirex_score(told.key, known.key) for known, told in keyed]),
        "librosa": np.array([mirex_score(told.librosa_key, known.key) for known, told in keyed]),
    }
    figures = {"key_n": float(len(keyed))}
    figures |= _compared("key_right", right, families) | _compared("key_mirex", mirex, families)
    figures |= _by_kind("key_right", right, [known.kind for known, _ in keyed])
    asked = [(known, told) for known, told in pairs if known.asks_key]
    figures |= _calibration(
        "key", [(told.key_confidence, told.key == known.key, known) for known, told in asked if told.key]
    )
    return figures | _nothing_there(
        "key", [(known.kind, told.key_confidence) for known, told in asked if not known.key]
    )


def agreement_figures(answers: Sequence[Told]) -> dict[str, float]:
    """How often librosa agrees on real songs, by thirds of confidence; and how often there is an answer."""
    figures: dict[str, float] = {}
    tempo = [(t.bpm_confidence, _right_tempo(t.bpm, t.librosa_bpm, OCTAVES)) for t in answers if t.bpm]
    key = [(t.key_confidence, t.key == t.librosa_key) for t in answers if t.key]
    for name, pairs in (("tempo", tempo), ("key", key)):
        figures[f"real_{name}_answered"] = len(pairs) / len(answers)
        figures[f"real_{name}_confidence"] = float(np.mean([confidence for confidence, _ in pairs]))
        for third, part in _thirds(pairs).items():
            figures[f"real_{name}_agrees_{third}"] = float(np.mean([agrees for _, agrees in part]))
    return figures


def loudness_figures(songs: Sequence[Levels]) -> dict[str, float]:
    """Errors of the mono waveform's loudness, and of the meter."""
    figures: dict[str, float] = {}
    mono = np.array([song.mono - song.file for song in songs if song.mono is not None and song.file is not None])
    stereo = np.array(
        [
            song.stereo_mono - song.stereo_file
            for song in songs
            if song.stereo_mono is not None and song.stereo_file is not None
        ]
    )
    meter = np.array([song.file - song.torchaudio for song in songs if song.file is not None])
    for name, errors in (("from_mono", mono), ("from_stereo", stereo), ("meter", meter)):
        figures[f"loudness_{name}_error_mean_lu"] = float(errors.mean())
        figures[f"loudness_{name}_error_p95_lu"] = float(np.quantile(np.abs(errors), 0.95))
        figures[f"loudness_{name}_within_1_lu"] = float((np.abs(errors) <= 1).mean())
    # Laplace's rule: what is to be expected of the next song.
    both = np.concatenate([mono, stereo])
    figures["loudness_confidence_unmeasured"] = float(((np.abs(both) <= 1).sum() + 1) / (len(both) + 2))
    figures["loudness_confidence_measured"] = float(((np.abs(meter) <= 1).sum() + 1) / (len(meter) + 2))
    return figures


def _told_of(song: Path) -> Told:
    return told(decode(song, sample_rate_hz=RATE_HZ, mono=True).waveform[0].numpy())


def _levels(song: Path) -> Levels:
    from torchaudio.functional import loudness

    decoded = decode(song)
    waveform, rate_hz = decoded.waveform, decoded.sample_rate_hz
    mono = waveform.mean(dim=0).numpy()
    late = np.concatenate([np.zeros(500, np.float32), mono])[: len(mono)]
    stereo = np.stack([0.8 * mono + 0.2 * late, 0.8 * mono - 0.2 * late]).astype(np.float32)
    return Levels(
        file=measure(song).measures.loudness_lufs,
        torchaudio=float(loudness(waveform, rate_hz)),
        mono=_lufs(resample(mono[None], rate_hz, RATE_HZ)[0]),
        stereo_file=measure(encode(stereo, rate_hz, "wav16")).measures.loudness_lufs,
        stereo_mono=_lufs(resample(stereo.mean(axis=0)[None], rate_hz, RATE_HZ)[0]),
    )


def _lufs(samples: NDArray[np.float32]) -> float | None:
    loudness = facts_of(torch.from_numpy(samples), RATE_HZ, loudness_lufs=None).loudness
    return loudness.lufs if loudness else None


def _right_tempo(bpm: float | None, truth: float | None, factors: Sequence[float]) -> bool:
    return bool(bpm and truth) and any(abs((bpm or 0) * factor / (truth or 1) - 1) < 0.04 for factor in factors)


def mirex_score(key: KeyNumbers | None, truth: KeyNumbers | None) -> float:
    """1 for the key, 0.5 for the fifth above, 0.3 for the relative, 0.2 for the parallel key, as in mir_eval."""
    if key is None or truth is None:
        return 0.0
    up, same = (key[0] - truth[0]) % 12, key[1] == truth[1]
    if same:
        return {0: 1.0, 7: 0.5}.get(up, 0.0)
    return 0.2 if up == 0 else 0.3 if up == (3 if truth[1] else 9) else 0.0


def _compared(name: str, scores: dict[str, Floats], families: NDArray[np.str_]) -> dict[str, float]:
    """Means with intervals, and that of the difference, by drawing families."""
    random = np.random.default_rng(1)
    _, member = np.unique(families, return_inverse=True)
    count = int(member.max()) + 1
    times = np.stack([np.bincount(random.integers(0, count, count), minlength=count) for _ in range(DRAWS)])
    weights = times[:, member] / times[:, member].sum(axis=1, keepdims=True)  # (draws, recordings)
    figures: dict[str, float] = {}
    values = scores | {"difference": scores["earmark"] - scores["librosa"]}
    for who, value in values.items():
        low, high = np.quantile(weights @ value, [0.025, 0.975])
        figures |= {f"{name}_{who}": float(value.mean())}
        figures |= {f"{name}_{who}_low": float(low), f"{name}_{who}_high": float(high)}
    return figures


def _by_kind(name: str, scores: dict[str, Floats], kinds: Sequence[str]) -> dict[str, float]:
    each = np.array(kinds)
    return {
        f"{name}_{who}_{str(kind).replace(' ', '_')}": float(value[each == kind].mean())
        for kind in np.unique(each)
        for who, value in scores.items()
    }


def _calibration(name: str, answers: Sequence[tuple[float, bool, Known]]) -> dict[str, float]:
    """The calibration error with its interval, what chance alone would make of it, and the thirds."""
    confidence = np.array([each[0] for each in answers])
    right = np.array([each[1] for each in answers], float)
    random = np.random.default_rng(2)
    chance = [_ece(confidence, (random.random(len(confidence)) < confidence).astype(float)) for _ in range(DRAWS)]
    figures = {
        f"{name}_answers": float(len(answers)),
        f"{name}_confidence": float(confidence.mean()),
        f"{name}_confidence_right": float(right.mean()),
        f"{name}_ece": _ece(confidence, right),
        f"{name}_ece_by_chance": float(np.mean(chance)),
        f"{name}_ece_by_chance_p95": float(np.quantile(chance, 0.95)),
    }
    for third, part in _thirds([(each[0], each[1]) for each in answers]).items():
        low, high = wilson(sum(is_right for _, is_right in part), len(part))
        figures[f"{name}_{third}_confidence"] = float(np.mean([each for each, _ in part]))
        figures[f"{name}_{third}_right"] = float(np.mean([is_right for _, is_right in part]))
        figures |= {f"{name}_{third}_right_low": low, f"{name}_{third}_right_high": high}
    return figures


def _nothing_there(name: str, answers: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Of recordings without beat, or without pitch: how often there is an answer, and how sure it is at most."""
    figures: dict[str, float] = {}
    for kind in sorted({kind for kind, _ in answers}):
        sure = [confidence for each, confidence in answers if each == kind]
        figures[f"{name}_answered_{kind}"] = float(np.mean([confidence > 0 for confidence in sure]))
        figures[f"{name}_confidence_{kind}"] = float(np.mean(sure))
    return figures


def _thirds(pairs: Sequence[tuple[float, bool]]) -> dict[str, list[tuple[float, bool]]]:
    """The least sure, the middle and the surest."""
    ordered = sorted(pairs, key=lambda pair: pair[0])
    cuts = [round(len(ordered) * third / 3) for third in range(4)]
    return {name: ordered[cuts[at] : cuts[at + 1]] for at, name in enumerate(("low", "middle", "high"))}


def _ece(confidence: Floats, right: Floats) -> float:
    parts = np.array_split(np.argsort(confidence, kind="stable"), BINS)
    return float(sum(len(part) * abs(confidence[part].mean() - right[part].mean()) for part in parts) / len(right))


def wilson(hits: float, of: int) -> tuple[float, float]:
    """Wilson's interval of a share, 95 %."""
    z, share = 1.96, hits / of
    middle, half = share + z * z / (2 * of), z * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return float((middle - half) / (1 + z * z / of)), float((middle + half) / (1 + z * z / of))


# Cost and fit.


def costs() -> dict[str, float]:
    """Milliseconds of one core, whatever else it has to do: the median of 30 calls, of 5 to librosa."""
    samples = next(render(what) for what in wanted("check") if what.kind == "band").samples
    song = torch.from_numpy(samples)
    long, theirs = song.repeat(40), resample(samples[None], RATE_HZ, LIBROSA_HZ)[0]
    calls: dict[str, tuple[int, Callable[[], object]]] = {
        "cost_30_s_ms": (30, lambda: facts_of(song, RATE_HZ, loudness_lufs=-14.0)),
        "cost_30_s_and_loudness_ms": (30, lambda: facts_of(song, RATE_HZ, loudness_lufs=None)),
        "cost_20_min_ms": (30, lambda: facts_of(long, RATE_HZ, loudness_lufs=-14.0)),
        "cost_20_min_and_loudness_ms": (30, lambda: facts_of(long, RATE_HZ, loudness_lufs=None)),
        "cost_30_s_librosa_tempo_ms": (5, lambda: librosa_tempo(theirs)),
        "cost_30_s_librosa_key_ms": (5, lambda: librosa_key(theirs)),
    }
    return {name: _milliseconds(call, times) for name, (times, call) in calls.items()}


def _milliseconds(call: Callable[[], object], times: int) -> float:
    spent = []
    for _ in range(times + 3):
        began = time.process_time()
        call()
        spent.append(1000 * (time.process_time() - began))
    return statistics.median(spent[3:])


def fit() -> None:
    """Print weights for `earmark.audio.facts.tempo` and `earmark.audio.facts.key`."""
    with Workers(None, torch.set_num_threads, 1) as pool:
        asked = wanted("fit")
        found = list(progress(pool.map(_signs, asked, chunksize=4), description="known music", total=len(asked)))
    for name, rows in (("tempo", [tempo for tempo, _ in found if tempo]), ("key", [key for _, key in found if key])):
        signs, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        weights = ", ".join(f"{weight:.2f}" for weight in _fitted(signs, right))
        print(f"{name}: WEIGHTS = ({weights})   of {len(rows)}, {right.mean():.3f} right")


def _fitted(signs: Floats, right: NDArray[np.bool_]) -> list[float]:
    """Logistic regression, hardly penalised: intercept, then a weight a sign."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e3, max_iter=10_000).fit(signs, right)
    return [float(model.intercept_[0]), *(float(weight) for weight in model.coef_[0])]


Row = tuple[tuple[float, ...], bool]


def _signs(what: Wanted) -> tuple[Row | None, Row | None]:
    known = render(what)
    parts = stretches(torch.from_numpy(known.samples), RATE_HZ, count=4)
    parts = parts / parts.square().mean().sqrt()
    beat, tonality = beat_of(parts, RATE_HZ), tonality_of(parts, RATE_HZ)
    return (
        (beat.signs, _right_tempo(beat.bpm, known.bpm, OCTAVES)) if beat else None,
        (tonality.signs, (tonality.tonic, tonality.minor) == known.key) if tonality and known.asks_key else None,
    )


if __name__ == "__main__":
    main()
