"""`training.compile`, by the real compiler: another way to nearly the same weights."""

import os
import pickle
import shutil
from dataclasses import replace

import pytest
import torch

from earmark.model.network.training import fit
from model_tools import SETTINGS, heard, songs, training

COMPILER = os.environ.get("CXX", "g++")


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason=f"torch.compile needs a C++ compiler, and {COMPILER} is none"
)
def test_a_compiled_training_ends_at_nearly_the_weights_of_one_that_is_not(tmp_path, monkeypatch):
    """Without dropout: compiled code draws what is dropped by another generator."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    told, settings = songs(1, tracks=12), replace(SETTINGS, network=replace(SETTINGS.network, dropout=0.0))
    plain, compiled = (fit(told, None, training(settings, epochs=1, compile=each))[0] for each in (False, True))
    assert compiled._compiled_call_impl is not None and plain._compiled_call_impl is None
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    kept = pickle.loads(pickle.dumps(compiled))  # as the stage `train` keeps it
    torch.testing.assert_close(heard(kept, told)[0], heard(plain, told)[0], rtol=1e-2, atol=1e-3)
