"""Music made by code: chords, a melody with overtones, drums and a little noise, all from one seed."""

import numpy as np

RATE_HZ = 22_050
_SCALE = (0, 2, 3, 5, 7, 8, 10)


def piece(seed: int, seconds: float = 24.0, *, beat_s: float = 0.31, drums: np.ndarray | None = None) -> np.ndarray:
    """A piece, float32 of shape (1, time) at `RATE_HZ`; ``drums``: a loop to play below it instead of its own."""
    random = np.random.default_rng(seed)
    music = np.zeros(round(seconds * RATE_HZ))
    root = random.integers(-6, 6)
    for beat in range(int(seconds / beat_s)):
        _play(music, beat * beat_s, _note(root, random.integers(7, 21)), random.uniform(0.1, 0.5), 0.3, random)
        if beat % 4 == 0:
            degree = random.integers(0, 7)
            for third in (0, 2, 4):
                _play(music, beat * beat_s, _note(root, degree + third), 4 * beat_s, 0.12, random)
    loop = drum_loop(seed, beat_s) if drums is None else drums
    music += np.resize(loop, len(music)) + random.normal(0, 0.002, len(music))
    return (0.7 * music / np.abs(music).max()).astype(np.float32)[None]


def drum_loop(seed: int, beat_s: float = 0.31) -> np.ndarray:
    """Four beats of noise bursts, shape (time,)."""
    random = np.random.default_rng([seed, 1])
    loop = np.zeros(round(4 * beat_s * RATE_HZ))
    for eighth in range(8):
        if random.random() < 0.6:
            start = round(eighth * beat_s / 2 * RATE_HZ)
            hit = random.normal(0, 0.3, 2_000) * np.exp(-np.arange(2_000) / 400)
            loop[start : start + 2_000] += hit[: len(loop) - start]
    return loop


def _note(root: int, degree: int) -> float:
    return 196.0 * 2 ** ((root + _SCALE[degree % 7]) / 12 + degree // 7)


def _play(
    music: np.ndarray, at_s: float, tone_hz: float, length_s: float, loud: float, random: np.random.Generator
) -> None:
    start = round((at_s + random.uniform(0, 0.02)) * RATE_HZ)
    time = np.arange(min(round(length_s * RATE_HZ), len(music) - start)) / RATE_HZ
    for overtone in range(1, 6):
        wave = np.sin(2 * np.pi * overtone * tone_hz * time + random.uniform(0, 6))
        music[start : start + len(time)] += loud * random.uniform(0.2, 1) / overtone * wave * np.exp(-time * 3)
