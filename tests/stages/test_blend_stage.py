"""The stage `blend` puts models together only where the same songs were held out of all of them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from earmark.errors import ModelError
from earmark.model.answers import Answers
from earmark.model.held_out import HeldOut
from earmark.params import load_params
from earmark.stages import blend
from scratch import CHECKOUT


def test_models_of_which_other_songs_were_held_out_are_refused(monkeypatch, tmp_path):
    def held(folder, material):
        names = ["a", "c"] if folder.name == "forest" else ["a", "b"]
        answers = Answers(np.full((2, 2), 0.5), np.zeros((2, 0)), np.zeros((2, 1)))
        return HeldOut(pd.DataFrame({"track_id": names, "part": 0}), answers)

    monkeypatch.setattr(blend, "load_material", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr(blend, "load_predictor", lambda folder: SimpleNamespace())
    monkeypatch.setattr(blend.HeldOut, "load", held)
    with pytest.raises(ModelError, match=r"network, .*not the same songs were held out.*dvc repro"):
        blend.run(load_params(CHECKOUT / "params.yaml"), tmp_path)
