"""How well are genre, feelings and liking learnt from 400 real songs? Every model on the same folds, in one run.

The Emotify set (published by its authors, not carried here) goes through the project's own doors: the importer and the
stages `features`, `train`, `train_forest`, `train_machine` and `blend`. Five folds by artist, for each of several seeds
with another arrangement of the folds; every track is tested once a seed, by models that never heard its artist.

Nothing is tuned here on a test fold. The models take params.yaml as it is, but for `recipe`, and with
``calibration.folds`` at `INNER`; which of them is chosen (`emotify_scores.chosen`), the weights of the blend and the
calibration follow from songs of the training part that were held out by artist. Beside them stand a support vector
machine with scikit-learn's defaults, one that chooses its C on inner folds, and the majority class. Ablations change
one thing at a time about a single network, on the folds of the first seed, with the fewer epochs of params.yaml.

    make bench-emotify DATA=path/to/emotify [ENCODER=weights/musicnn]

With an encoder (weights that others trained; see docs/weights.md) the machine and the blend are fitted a second time.
A run that was killed carries on: finished folds are kept under .earmark/bench/.
"""

import argparse
import dataclasses
import sys
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

from earmark.params import Params, load_params, to_dict
from earmark.workers import Workers
from earmark.workspace import PARAMS
from emotify_ablations import VARIANTS, Variant, ablate, ablation_figures
from emotify_folds import Fold, answer, arrange, prepare
from emotify_scores import figures_of
from harness import write_result

ROOT = Path(__file__).parent.parent
WORKSPACE = ROOT / ".earmark" / "bench" / "emotify"
SECTIONS = ("frontend", "network", "training", "augmentation", "forest", "machine", "calibration", "evaluation")


def main() -> None:
    """Run, or carry on, and write bench/results/emotify.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that holds data.csv and emotifymusic/")
    parser.add_argument("--encoder", type=Path, help="a folder with weights that others trained")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-ablations", action="store_true")
    arguments = parser.parse_args()
    plain = load_params(ROOT / PARAMS)
    params = recipe(plain)
    songs = prepare(arguments.data, WORKSPACE, params)
    folds = [fold for seed in range(1, arguments.seeds + 1) for fold in arrange(songs, seed)]
    encoder = arguments.encoder and arguments.encoder.resolve()
    # In this order: with the encoder only the machine and the blend are left to fit.
    jobs: list[tuple[Any, ...]] = [(answer, fold, WORKSPACE, params, None) for fold in folds]
    variants: list[Variant] = [] if arguments.no_ablations else list(VARIANTS)
    short = shorter(params, plain)
    jobs += [(ablate, fold, WORKSPACE, short, v) for v in variants for fold in folds if fold.seed == 1]
    told = _all(jobs)
    if encoder:
        told |= _all([(answer, fold, WORKSPACE, params, encoder) for fold in folds])

    figures = figures_of(songs, folds, [told[_name(answer, fold, None)] for fold in folds], params.evaluation)
    if encoder:
        found = figures_of(songs, folds, [told[_name(answer, fold, encoder)] for fold in folds], params.evaluation)
        figures |= {f"scratch_{name}": value for name, value in figures.items()} | found
    if variants:
        first = [fold for fold in folds if fold.seed == 1]
        by_variant = {v.name: [told[_name(ablate, fold, v)] for fold in first] for v in variants}
        figures |= ablation_figures(songs, first, by_variant, params.evaluation)
    figures |= {"seeds": arguments.seeds, "tracks": len(songs.tracks), "artists": songs.tracks["group"].nunique()}
    settings = {name: to_dict(getattr(params, name)) for name in SECTIONS}
    path = write_result("emotify", figures, params=settings)
    for name in ("genre_accuracy_chosen", "emotion_r_mean", "liked_r", "disliked_r", "ece", "set_coverage_90"):
        print(f"{name:24s} {figures[name]:.3f}")
    print(f"written: {path.relative_to(ROOT)}")


def recipe(params: Params) -> Params:
    """params.yaml, but for what suits some hundreds of real songs better than the demo's songbook.

    Chosen on inner folds by artist, before this bench was run with it: docs/development.md has the figures.
    """
    return dataclasses.replace(
        params,
        training=dataclasses.replace(params.training, epochs=64, tag_share=0.8),
        augmentation=dataclasses.replace(params.augmentation, gain_db=6.0, equaliser_db=6.0, noise_share=0.3),
    )


def shorter(params: Params, plain: Params) -> Params:
    """For ablations: the recipe with the epochs of params.yaml."""
    return dataclasses.replace(params, training=dataclasses.replace(params.training, epochs=plain.training.epochs))


def _all(jobs: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Every job's result, by its name; a process a core, a thread each: the fastest way to many small trainings."""
    told = {}
    with Workers(None, _one_thread) as pool:
        running = {pool.submit(*job): _name(job[0], job[1], job[-1]) for job in jobs}
        for done, future in enumerate(as_completed(running), start=1):
            told[running[future]] = future.result()
            print(f"{done}/{len(jobs)} {running[future]}", file=sys.stderr, flush=True)
    return told


def _name(what: Any, fold: Fold, how: Any) -> str:
    return f"{what.__name__} {fold.seed}-{fold.number} {getattr(how, 'name', how)}"


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
