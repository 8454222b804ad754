"""The service as it is usually written: FastAPI, librosa, and the model asked in the endpoint.

    uvicorn usual_service:app --workers 2

EARMARK_MODEL names the predictor's folder. Nothing here is made slow: a plain `def` endpoint, which FastAPI runs in
threads, a worker process for each core, and the same predictor.
"""

import io
import os
from pathlib import Path
from typing import Any

import librosa
import torch
from fastapi import FastAPI, UploadFile

from earmark.model.predictor import load_predictor

if threads := os.environ.get("USUAL_THREADS"):
    torch.set_num_threads(int(threads))
predictor = load_predictor(Path(os.environ["EARMARK_MODEL"]))
app = FastAPI()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, Any]:
    """What the model says of a file."""
    samples, _ = librosa.load(io.BytesIO(file.file.read()), sr=predictor.frontend.sample_rate_hz, mono=True)
    return predictor.predict(torch.from_numpy(samples)).to_dict()


@app.get("/readyz")
def ready() -> dict[str, bool]:
    """Once the model is loaded."""
    return {"ready": True}
