"""Stage `examples`: a few songs to listen to and to try the service with, as short excerpts.

They are of the test part, so no model has heard them; of different genres; and of licences that allow copies to anybody
(`earmark.catalogue.licences`). Where none does there are none, and the list is empty.
"""

import hashlib
import io
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.audio.decode import decode
from earmark.catalogue.licences import may_be_copied
from earmark.catalogue.reading import read_recording
from earmark.catalogue.track import read_tracks
from earmark.files import write_json
from earmark.params import Params
from earmark.workspace import CATALOGUE, EXAMPLES, SPLITS

LIST, SUFFIX = "examples.json", ".opus"
MOST = 4
SECONDS = 20.0
RATE_HZ = 48_000  # of Opus
_BITS_PER_S = {1: 64_000, 2: 96_000}  # by the number of channels
_FADE_S = 0.05


def run(params: Params, root: Path) -> None:
    """Write models/examples: ``examples.json``, and ``NAME.opus`` for each in it.

    Each has ``name``, ``title``, ``artist``, ``genre``, ``seconds``, ``licence`` and ``track_id``.

    Raises:
        AudioError: A recording cannot be decoded any more.
        CatalogueError: There is no catalogue, or a recording is not there.
    """
    tracks = read_tracks(root / CATALOGUE).drop(columns=["split", "genre"])
    splits = pd.read_parquet(root / SPLITS)[["track_id", "split", "genre"]]
    chosen = choose(tracks.merge(splits, on="track_id"))
    shutil.rmtree(root / EXAMPLES, ignore_errors=True)
    (root / EXAMPLES).mkdir(parents=True)
    listed = []
    for number, track in enumerate(chosen.to_dict("records"), start=1):
        sound = excerpt(read_recording(root, track["path"], track["content_hash"]), track["duration_s"])
        name = f"example-{number}"
        (root / EXAMPLES / f"{name}{SUFFIX}").write_bytes(opus(sound))
        told = {key: track[key] if pd.notna(track[key]) else None for key in ("title", "artist", "genre", "licence")}
        seconds = round(sound.shape[1] / RATE_HZ, 3)
        listed.append({"name": name, **told, "seconds": seconds, "track_id": track["track_id"]})
    write_json(root / EXAMPLES / LIST, listed)
    print(f"examples: {len(listed)} songs of {len(tracks):,}" + ("" if listed else _NONE), file=sys.stderr)


_NONE = "; no licence of a song in the test part allows copies"


def choose(tracks: pd.DataFrame) -> pd.DataFrame:
    """Up to `MOST` songs of the test part that may be copied, each of another genre.

    Genres are evenly spread over the alphabet; of each the song is taken whose hash is the least: any one, and always
    the same.
    """
    allowed = [
        may_be_copied(_text(licence), artist=_text(artist), source=source)
        for licence, artist, source in zip(tracks["licence"], tracks["artist"], tracks["source"], strict=True)
    ]
    ours = tracks[(tracks["split"] == "test") & tracks["genre"].notna() & np.array(allowed, dtype=bool)]
    drawn = ours.assign(at=[hashlib.sha256(name.encode()).hexdigest() for name in ours["content_hash"]])
    one_each = drawn.sort_values(["genre", "at", "track_id"]).drop_duplicates("genre")
    places = np.linspace(0, len(one_each) - 1, min(MOST, len(one_each))).round().astype(int)
    return one_each.iloc[places].drop(columns="at")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def excerpt(source: Path | bytes, duration_s: float) -> NDArray[np.float32]:
    """`SECONDS` out of a recording's middle with soft ends, shape ``(channels, time)``, one channel or two.

    Raises:
        AudioError: It cannot be decoded.
    """
    start_s = max(0.0, (duration_s - SECONDS) / 2)
    samples = decode(source, sample_rate_hz=RATE_HZ, max_seconds=start_s + SECONDS).waveform.numpy()
    samples = samples[:, -round(SECONDS * RATE_HZ) :].copy()
    if len(samples) > 2:
        samples = samples.mean(axis=0, keepdims=True)
    fade = min(round(_FADE_S * RATE_HZ), samples.shape[1] // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    samples[:, :fade] *= ramp
    samples[:, samples.shape[1] - fade :] *= ramp[::-1]
    return samples


def opus(samples: NDArray[np.float32]) -> bytes:
    """Samples at `RATE_HZ`, shape ``(channels, time)``, as Ogg Opus; on one machine always the same bytes.

    FFmpeg's Ogg writer draws a random stream number unless it is told to be exact bit for bit. Opus itself computes in
    floating point, so that another kind of processor may round otherwise.
    """
    import av
    from av.codec.context import Flags

    whole = np.round(np.clip(samples, -1.0, 1.0) * 32_767).astype(np.int16)
    layout, content = "mono" if len(whole) == 1 else "stereo", io.BytesIO()
    with av.open(content, "w", format="ogg", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout=layout)
        stream.bit_rate = _BITS_PER_S[len(whole)]
        stream.codec_context.flags |= Flags.bitexact
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(whole.T.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return content.getvalue()
