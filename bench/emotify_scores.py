"""Figures of a run over all folds and seeds: scores with intervals, how sure, and what was chosen by held-out songs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.model.calibration.abstention import accuracy_at, area_under_risk_coverage
from earmark.model.calibration.reliability import expected_calibration_error, log_loss
from earmark.model.evaluation.sureness import ece_by_chance
from earmark.model.metrics import Score, accuracy, difference, f1_macro, resamples, score
from earmark.params import Evaluation
from emotify_folds import EMOTIONS, LIKING, TAG_OF, Fold, Songs

CANDIDATES = ("network", "forest", "machine", "blend")
CEILINGS = {"emotion": 0.81, "liked": 0.52, "disliked": 0.59}  # of the data, as its description has them
BINS = 10  # of the calibration error
Floats = NDArray[np.float64]


def figures_of(songs: Songs, folds: list[Fold], told: list[dict[str, Any]], how: Evaluation) -> dict[str, float]:
    """All figures, flat; ``told`` has one entry a fold, as `emotify_folds.answer` gives it."""
    seeds = max(fold.seed for fold in folds)
    labels = sorted(songs.tracks["genre"].unique())
    actual = np.tile(np.searchsorted(labels, songs.tracks["genre"]), seeds)
    groups = np.tile(songs.tracks["group"].to_numpy(object), seeds)
    told = [{**each, **chosen(each)} for each in told]
    figures: dict[str, float] = {}
    predicted = {}
    for kind in (*CANDIDATES, "chosen"):
        genres = _laid_out(songs, folds, [each[kind]["genres"] for each in told], seeds)
        predicted[kind] = genres.argmax(axis=1)
    for kind in ("svm", "svm_tuned", "majority"):
        predicted[kind] = _laid_out(songs, folds, [each[kind] for each in told], seeds).astype(np.int64)
    names = {kind: "cnn" if kind == "network" else kind for kind in predicted}
    for kind, answer in predicted.items():
        figures |= score(accuracy, actual, answer, groups, how).flat(f"genre_accuracy_{names[kind]}")
        figures |= score(f1_macro, actual, answer, groups, how).flat(f"genre_f1_{names[kind]}")
    for other in ("svm", "svm_tuned", "forest"):
        gain = difference(accuracy, actual, predicted["network"], predicted[other], groups, how)
        figures |= gain.flat(f"genre_accuracy_cnn_minus_{other}")
        gain = difference(accuracy, actual, predicted["chosen"], predicted[other], groups, how)
        figures |= gain.flat(f"genre_accuracy_chosen_minus_{other}")
    for kind in ("network", "chosen"):
        by_seed = np.split(actual == predicted[kind], seeds)
        name = f"genre_accuracy_{names[kind]}_seed"
        figures |= {f"{name}_{i}": float(right.mean()) for i, right in enumerate(by_seed, start=1)}
    for kind in (*CANDIDATES, "chosen"):
        suffix = "" if kind == "chosen" else f"_{names[kind]}"
        figures |= _told_shares(songs, folds, [each[kind] for each in told], seeds, how, suffix)
    figures |= _set_aside(songs, folds[0], told[0]["chosen"], actual, predicted["chosen"], how)
    figures |= _sure(songs, folds, [each["chosen"] for each in told], actual, seeds, how)
    for kind in CANDIDATES:
        figures[f"chosen_{kind}_share"] = float(np.mean([each["chosen"]["kind"] == kind for each in told]))
    return figures


def chosen(told: dict[str, Any]) -> dict[str, Any]:
    """The candidate with the lowest held-out log loss, as the pipeline chooses its challenger.

    No test song takes part in the choice: ``held_log_loss`` comes from songs of the training part, each answered by
    models that had not heard its artist.
    """
    kind = min(CANDIDATES, key=lambda each: float(told[each]["held_log_loss"]))
    return {"chosen": {**told[kind], "kind": kind}}


def _laid_out(songs: Songs, folds: list[Fold], parts: list[Any], seeds: int) -> Floats:
    """What is told of each fold's test songs, by the songs' places, seed after seed."""
    first = np.asarray(parts[0], dtype=np.float64)
    found = np.full((seeds * len(songs.tracks), *first.shape[1:]), np.nan)
    for fold, part in zip(folds, parts, strict=True):
        found[(fold.seed - 1) * len(songs.tracks) + fold.test] = np.asarray(part, dtype=np.float64)
    return found


def _told_shares(
    songs: Songs, folds: list[Fold], told: list[dict[str, Any]], seeds: int, how: Evaluation, suffix: str
) -> dict[str, float]:
    """Pearson's r with the shares of the listeners: all songs of a seed together, then the mean over the seeds."""
    shares = _laid_out(songs, folds, [each["shares"] for each in told], seeds).reshape(seeds, len(songs.tracks), -1)
    names = (*EMOTIONS, *LIKING)
    said = shares[:, :, places_of(told[0]["tags"], names)]
    truth = songs.shares[list(names)].to_numpy()
    groups = songs.tracks["group"].to_numpy(object)
    drawn = np.mean([drawn_r(said[seed], truth, groups, how) for seed in range(seeds)], axis=0)  # (draws, names)
    parts = {
        "emotion_r_mean": drawn[:, : len(EMOTIONS)].mean(axis=1),
        "liked_r": drawn[:, len(EMOTIONS)],
        "disliked_r": drawn[:, len(EMOTIONS) + 1],
        **{f"r_{name}": drawn[:, number] for number, name in enumerate(EMOTIONS)},
    }
    figures: dict[str, float] = {}
    for name, values in parts.items():
        figures |= drawn_score(values, how).flat(f"{name}{suffix}")
    if not suffix:
        for name, ceiling in (("emotion_r_mean", "emotion"), ("liked_r", "liked"), ("disliked_r", "disliked")):
            figures[f"{name}_share_of_ceiling"] = figures[name] / CEILINGS[ceiling]
    return figures


def _set_aside(
    songs: Songs,
    first: Fold,
    told: dict[str, Any],
    actual: NDArray[np.int64],
    predicted: NDArray[np.int64],
    how: Evaluation,
) -> dict[str, float]:
    """Of the first fold of the first seed alone: the recipe was chosen on the other songs, and on none of these.

    What is said of all folds leans towards that choice; this does not, but it is of few songs.
    """
    at, groups = first.test, songs.tracks["group"].to_numpy(object)[first.test]
    shares = np.asarray(told["shares"])[:, places_of(told["tags"], EMOTIONS)]
    drawn = drawn_r(shares, songs.shares[list(EMOTIONS)].to_numpy()[at], groups, how).mean(axis=1)
    return {
        **score(accuracy, actual[at], predicted[at], groups, how).flat("genre_accuracy_set_aside"),
        **drawn_score(drawn, how).flat("emotion_r_mean_set_aside"),
        "set_aside_tracks": len(at),
    }


def places_of(tags: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where the tags of these feelings stand."""
    return [list(tags).index(TAG_OF[name]) for name in names]


def drawn_r(said: Floats, truth: Floats, groups: NDArray[np.object_], how: Evaluation) -> Floats:
    """Pearson's r of each column, ``(songs, names)`` both: of all songs, then of each draw of the groups."""
    return _r(said, truth, np.stack([np.ones(len(truth)), *resamples(groups, how)]))


def drawn_score(drawn: Floats, how: Evaluation) -> Score:
    """Of what `drawn_r` gives of one name: the value of all songs, and its interval."""
    return Score.of(drawn[0], drawn[1:], how.confidence)


def _r(said: Floats, truth: Floats, draws: Floats) -> Floats:
    """Weighted Pearson's r of each column, ``(songs, names)`` both, for each row of ``draws``, ``(draws, songs)``."""
    weights = draws / draws.sum(axis=1, keepdims=True)
    mean_said, mean_truth = weights @ said, weights @ truth
    covariance = weights @ (said * truth) - mean_said * mean_truth
    spread = (weights @ said**2 - mean_said**2) * (weights @ truth**2 - mean_truth**2)
    return np.asarray(covariance / np.sqrt(spread.clip(1e-12)))


def _sure(
    songs: Songs,
    folds: list[Fold],
    told: list[dict[str, Any]],
    actual: NDArray[np.int64],
    seeds: int,
    how: Evaluation,
) -> dict[str, float]:
    """How far what is said about sureness holds, over all folds and seeds."""
    genres, sets, low, high, unlike = (
        _laid_out(songs, folds, [each[name] for each in told], seeds)
        for name in ("genres", "sets", "low", "high", "unlike")
    )
    names = (*EMOTIONS, *LIKING)
    columns = places_of(told[0]["tags"], names)
    truth = np.tile(songs.shares[list(names)].to_numpy(), (seeds, 1))
    inside = (truth >= low[:, columns] - 1e-9) & (truth <= high[:, columns] + 1e-9)
    held = sets[np.arange(len(actual)), actual] > 0
    return {
        "ece": expected_calibration_error(genres, actual, BINS),
        "ece_by_chance": ece_by_chance(genres, BINS, how, repeats=seeds)["ece_by_chance"],
        "log_loss": log_loss(genres, actual),
        "set_coverage_90": float(held.mean()),
        "set_size_mean": float(sets.sum(axis=1).mean()),
        **{f"set_coverage_90_{genre}": float(held[actual == i].mean()) for i, genre in enumerate(_genres(songs))},
        "interval_coverage_90": float(inside.mean()),
        "interval_width_mean": float((high - low)[:, columns].mean()),
        **{f"interval_coverage_90_{name}": float(inside[:, i].mean()) for i, name in enumerate(names)},
        "accuracy_at_80_coverage": accuracy_at(genres, actual, 0.8),
        "area_under_risk_coverage": area_under_risk_coverage(genres, actual),
        "unlike_share": float((unlike < 0.01).mean()),
    }


def _genres(songs: Songs) -> list[str]:
    return sorted(songs.tracks["genre"].unique())
