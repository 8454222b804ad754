"""One thing at a time: what each part of the recipe is worth, on the folds of one seed, a single network each.

A variant is the recipe with some values changed. All are trained on the whole training part of each fold
and tested on its test part; none is chosen by that.
"""

import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from earmark.files import read_json, write_json
from earmark.model.material import load_material
from earmark.model.metrics import accuracy, difference, score
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.network.pretraining import pretrain, save_trunk
from earmark.model.network.training import Settings, fit
from earmark.model.scoring import answers_of
from earmark.model.tags import Tags
from earmark.params import Evaluation, Params, to_dict
from emotify_folds import EMOTIONS, Fold, Songs, folder_of
from emotify_scores import drawn_r, drawn_score, places_of


@dataclass(frozen=True)
class Variant:
    """A name, and what it changes: section → key → value; ``heads`` are those that are learnt."""

    name: str
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    heads: str = "all"
    of: str = "recipe"  # what it is compared with


NO_MASKS = {"frequency_mask": 0, "time_mask": 0}
NO_SOUND = {"gain_db": 0.0, "equaliser_db": 0.0, "noise_share": 0.0}
VARIANTS = (
    Variant("recipe"),
    Variant("no_augmentation", {"augmentation": NO_MASKS | NO_SOUND}),
    Variant("no_masking", {"augmentation": NO_MASKS}),
    Variant("no_gain_equaliser_noise", {"augmentation": NO_SOUND}),
    Variant("mixup", {"augmentation": {"mixup_alpha": 0.3}}),
    Variant("pitch_tempo", {"augmentation": {"pitch_semitones": 2.0, "tempo_share": 0.15}}),
    Variant("rotation_segments", {"augmentation": {"rotation": True, "segment_mixing": 0.3}}),
    Variant("no_dropout", {"network": {"dropout": 0.0}}),
    Variant("no_weight_decay", {"training": {"weight_decay": 0.0}}),
    Variant("penalty_l1", {"training": {"weight_decay": 0.0, "penalty": 1e-6, "penalty_p": 1}}),
    Variant("penalty_l2", {"training": {"weight_decay": 0.0, "penalty": 1e-5, "penalty_p": 2}}),
    Variant("penalty_l3", {"training": {"weight_decay": 0.0, "penalty": 1e-4, "penalty_p": 3}}),
    Variant("penalty_l4", {"training": {"weight_decay": 0.0, "penalty": 1e-3, "penalty_p": 4}}),
    Variant("no_label_smoothing", {"training": {"label_smoothing": 0.0}}),
    Variant("no_averaging", {"training": {"averaging": 0.0}}),
    Variant("attention", {"network": {"pooling": "attention"}}),
    Variant("genre_alone", heads="genre"),
    Variant("one_excerpt", {"network": {"excerpts": 1}}),
    Variant("pretrained"),  # on the sound of each fold's training part, without labels
)
VOTING = ("one_excerpt",)  # variants of answering alone: the recipe's network is asked


def ablate(fold: Fold, workspace: Path, params: Params, variant: Variant) -> dict[str, Any]:
    """What the variant's network says of the fold's test songs: ``genres`` and ``shares`` (none where not learnt)."""
    root = folder_of(fold, workspace, params, None)
    changed = _changed(params, variant)
    key = json.dumps([to_dict(getattr(changed, name)) for name in _USED] + [variant.heads], sort_keys=True)
    kept = root / "ablations" / f"{variant.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if (kept / "answers.json").exists():
        found: dict[str, Any] = read_json(kept / "answers.json")
        return found
    material = load_material(root, changed.frontend)
    if variant.heads == "genre":
        material = dataclasses.replace(material, tags=Tags())
    training = dataclasses.replace(changed.training, seed=fold.seed)
    settings = Settings(changed.frontend, changed.network, training, changed.augmentation)
    if variant.name in VOTING:
        settings = dataclasses.replace(settings, network=params.network)
    part = material.part("train")
    began = time.monotonic()
    if variant.name == "pretrained":
        heard = pretrain(material.examples(part).log_mels, settings, params.pretraining, checkpoints=kept / "pretext")
        start = save_trunk(heard, kept / "pretrained.pt")
        settings = dataclasses.replace(settings, training=dataclasses.replace(training, start_from=str(start)))
    pretrained_s = time.monotonic() - began
    network, _ = fit(material.examples(part), None, settings, checkpoints=kept / "checkpoints")
    predictor = NetworkPredictor(
        labels=material.labels,
        frontend=changed.frontend,
        trained_on=material.hashes(part),
        data_hash=material.data_hash,
        tags=material.tags.names,
        networks=(network,),
        how=changed.network,
    )
    answers = answers_of(predictor, material.part("test"), root)
    told = {
        "tags": list(predictor.tags),
        "genres": answers.genres.tolist(),
        "shares": answers.shares.tolist(),
        "pretrained_s": pretrained_s,
        "seconds": time.monotonic() - began,
    }
    write_json(kept / "answers.json", told)
    return told


def ablation_figures(
    songs: Songs, folds: list[Fold], told: dict[str, list[dict[str, Any]]], how: Evaluation
) -> dict[str, float]:
    """Of each variant accuracy and mean r of the emotions, and what it gains over what it is compared with."""
    labels = sorted(songs.tracks["genre"].unique())
    actual = np.searchsorted(labels, songs.tracks["genre"])
    groups = songs.tracks["group"].to_numpy(object)
    truth = songs.shares[list(EMOTIONS)].to_numpy()
    genres, r = {}, {}
    for name, parts in told.items():
        predicted = np.zeros(len(actual), dtype=np.int64)
        shares = np.full((len(actual), len(EMOTIONS)), np.nan)
        for fold, part in zip(folds, parts, strict=True):
            predicted[fold.test] = np.asarray(part["genres"]).argmax(axis=1)
            if part["tags"]:
                shares[fold.test] = np.asarray(part["shares"])[:, places_of(part["tags"], EMOTIONS)]
        genres[name] = predicted
        if np.isfinite(shares).all():
            r[name] = drawn_r(shares, truth, groups, how).mean(axis=1)
    figures: dict[str, float] = {}
    for variant in VARIANTS:
        if variant.name not in told:
            continue
        figures |= score(accuracy, actual, genres[variant.name], groups, how).flat(f"ablation_{variant.name}_accuracy")
        if variant.name in r:
            figures |= drawn_score(r[variant.name], how).flat(f"ablation_{variant.name}_r")
        figures[f"ablation_{variant.name}_seconds"] = float(np.mean([part["seconds"] for part in told[variant.name]]))
        if variant.name != variant.of:
            gain = difference(accuracy, actual, genres[variant.name], genres[variant.of], groups, how)
            figures |= gain.flat(f"ablation_{variant.name}_minus_{variant.of}")
            if variant.name in r:
                gain = drawn_score(r[variant.name] - r[variant.of], how)
                figures |= gain.flat(f"ablation_{variant.name}_r_minus_{variant.of}")
    return figures


_USED = ("frontend", "network", "training", "augmentation")


def _changed(params: Params, variant: Variant) -> Params:
    sections = {
        section: dataclasses.replace(getattr(params, section), **values) for section, values in variant.changes.items()
    }
    return dataclasses.replace(params, **sections)
