"""The stage `review` on answers that the test made up, with wrong labels planted on every side of the split."""

import json

import numpy as np
import pandas as pd
import pytest

from earmark.catalogue.track import Track, write_tracks
from earmark.model.answers import Answers
from earmark.model.calibration.calibration import calibrate
from earmark.model.held_out import HeldOut
from earmark.model.material import load_material
from earmark.params import load_params
from earmark.stages import review
from earmark.workspace import BLEND, CATALOGUE, FEATURES, LABEL_REVIEW, LABEL_REVIEW_SUMMARY, PREDICTIONS, SPLITS
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")
LABELS = ("jazz", "reel", "rock")
SIDES = ("train",) * 4 + ("validation",) * 2 + ("test",) * 2
COUNT = 80
PLANTED = {f"{genre}/{n:03d}" for genre in LABELS for n in range(0, COUNT, 9)}  # these are truly the next genre


def told(true, random):
    """Sure, mostly right answers, shape (tracks, labels)."""
    logits = random.normal(0, 0.5, size=(len(true), 3)) + 4 * np.eye(3)[true]
    answers = np.exp(logits)
    return answers / answers.sum(axis=1, keepdims=True)


def project(root, *, folds=True, planted=PLANTED, reviewed=()):
    random = np.random.default_rng(0)
    names = [f"{genre}/{n:03d}" for genre in LABELS for n in range(COUNT)]
    table = pd.DataFrame({"track_id": names, "genre": [name.split("/")[0] for name in names]})
    table["split"] = [SIDES[n % len(SIDES)] for n in range(len(names))]
    table["group"] = [f"artist:{n // 2}" for n in range(len(names))]
    table["true"] = [(LABELS.index(g) + (i in planted)) % 3 for i, g in zip(names, table["genre"], strict=True)]
    tracks = [
        Track(
            row.track_id, f"x/{row.track_id}.mp3", "ab" * 32, 9.0, 8_000, 1, "mp3", "folder", row.group, row.genre,
            genre_source="correction" if row.track_id in reviewed else None, title=f"Song, {row.track_id}",
        )
        for row in table.itertuples()
    ]  # fmt: skip
    write_tracks(tracks, root / CATALOGUE)
    table[["track_id", "split", "group", "genre"]].to_parquet(root / SPLITS)
    pd.DataFrame([(each.track_id, each.content_hash, each.path) for each in tracks]).set_axis(
        ["track_id", "content_hash", "path"], axis=1
    ).to_parquet(root / FEATURES)

    material = load_material(root, PARAMS.frontend)
    held = material.tracks[material.tracks["split"].isin(["train", "validation"] if folds else ["validation"])]
    truth = table.set_index("track_id")["true"]
    raw = told(truth[held["track_id"]].to_numpy(), random)
    answers = Answers(raw, np.zeros((len(held), 0)), np.zeros((len(held), 2)))
    HeldOut(held.assign(part=0).reset_index(drop=True), answers).save(root / BLEND)
    calibration = calibrate(
        probabilities=raw, actual=material.indices(held), coverage=0.9, by_class=False, least_accuracy=0.0, seed=0
    )
    calibration.save(root / BLEND)
    test = material.part("test")
    answered = pd.DataFrame(told(truth[test["track_id"]].to_numpy(), random), columns=[f"p_{name}" for name in LABELS])
    answered = answered.assign(track_id=test["track_id"].to_numpy(), model="blend", split="test")
    other = answered.assign(model="network", p_jazz=1 / 3, p_reel=1 / 3, p_rock=1 / 3)
    answered = answered.iloc[::-1]  # whatever their order
    (root / PREDICTIONS).parent.mkdir(exist_ok=True)
    pd.concat([other, answered]).to_parquet(root / PREDICTIONS)
    return raw, calibration


def listed(root):
    return pd.read_csv(root / LABEL_REVIEW, keep_default_na=False)


class TestTheList:
    def test_holds_nearly_all_planted_labels_of_every_side_and_no_other(self, tmp_path):
        project(tmp_path)
        review.run(PARAMS, tmp_path)
        table = listed(tmp_path)
        assert list(table.columns) == list(review.COLUMNS)
        assert set(table["track_id"]) <= PLANTED and len(table) >= 0.85 * len(PLANTED)
        assert set(table["side"]) == {"train", "validation", "test"}
        assert table["score"].is_monotonic_increasing
        for row in table.itertuples():
            assert (row.given, row.title, row.path) == (
                row.track_id.split("/")[0], f"Song, {row.track_id}", f"x/{row.track_id}.mp3",
            )  # fmt: skip
            assert row.suggested == LABELS[(LABELS.index(row.given) + 1) % 3]
            assert row.p_suggested > row.p_given

    def test_warns_of_test_songs_and_of_no_other(self, tmp_path):
        project(tmp_path)
        review.run(PARAMS, tmp_path)
        table = listed(tmp_path)
        assert (table["caution"].str.contains("flatters") == (table["side"] == "test")).all()

    def test_tells_calibrated_probabilities(self, tmp_path):
        raw, calibration = project(tmp_path)
        assert abs(calibration.temperature - 1) > 0.05
        review.run(PARAMS, tmp_path)
        material = load_material(tmp_path, PARAMS.frontend)
        held = material.tracks[material.tracks["split"] != "test"]["track_id"].tolist()
        row = listed(tmp_path).set_index("track_id").loc["reel/009"]
        powered = raw[held.index("reel/009")] ** (1 / calibration.temperature)
        assert row["p_suggested"] == pytest.approx((powered / powered.sum()).max(), abs=1e-3)

    def test_leaves_out_what_somebody_has_listened_to(self, tmp_path):
        project(tmp_path)
        review.run(PARAMS, tmp_path)
        before = listed(tmp_path)["track_id"].tolist()
        project(tmp_path, reviewed={before[0], "rock/003"})
        review.run(PARAMS, tmp_path)
        assert listed(tmp_path)["track_id"].tolist() == before[1:]
        assert json.loads((tmp_path / LABEL_REVIEW_SUMMARY).read_text())["reviewed"] == 2

    def test_is_empty_but_for_its_header_where_all_labels_are_right(self, tmp_path):
        project(tmp_path, planted=set())
        review.run(PARAMS, tmp_path)
        assert (tmp_path / LABEL_REVIEW).read_text() == ",".join(review.COLUMNS) + "\n"

    def test_without_folds_says_nothing_of_training_songs(self, tmp_path):
        project(tmp_path, folds=False)
        review.run(PARAMS, tmp_path)
        assert set(listed(tmp_path)["side"]) == {"validation", "test"}


class TestTheNumbers:
    def test_count_songs_and_estimate_the_share_of_wrong_labels_by_genre(self, tmp_path):
        project(tmp_path)
        review.run(PARAMS, tmp_path)
        told = json.loads((tmp_path / LABEL_REVIEW_SUMMARY).read_text())
        table = listed(tmp_path)
        assert (told["tracks"], told["listed"], told["reviewed"]) == (240, len(table), 0)
        assert told["listed_test"] == (table["side"] == "test").sum() > 0
        assert told["wrong_share"] == pytest.approx(len(PLANTED) / 240, abs=0.02)
        assert set(told["genres"]) == set(LABELS)
        for name, genre in told["genres"].items():
            assert (genre["tracks"], genre["listed"]) == (80, (table["given"] == name).sum())
            assert genre["wrong_share"] == pytest.approx(9 / 80, abs=0.03)

    def test_are_the_same_twice(self, tmp_path):
        project(tmp_path)
        review.run(PARAMS, tmp_path)
        once = (tmp_path / LABEL_REVIEW).read_bytes(), (tmp_path / LABEL_REVIEW_SUMMARY).read_bytes()
        review.run(PARAMS, tmp_path)
        assert once == ((tmp_path / LABEL_REVIEW).read_bytes(), (tmp_path / LABEL_REVIEW_SUMMARY).read_bytes())
