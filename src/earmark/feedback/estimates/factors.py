"""Listener factors: who listens to what together, as a few numbers for each song and each listener.

By implicit alternating least squares (Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets",
ICDM 2008), as the library `implicit` has it. That somebody played a song is the preference, and the logarithm of how
often the confidence in it. Skips take nothing away: that they met tells which songs are shown to the same people, and
in the simulator's worlds categories are recovered better so than with skips against.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from earmark.params import Categories

Floats32 = npt.NDArray[np.float32]
_MANY = 500_000  # pairs, from which on threads are worth their waiting
FEWEST = 20  # listeners, and songs: below that nothing is told apart


@dataclass(frozen=True)
class Factors:
    """Both sides of the factorisation.

    Attributes:
        tracks: Numbers of the songs that were heard, ascending; shape ``(songs,)``.
        listeners: Numbers of the listeners, ascending; shape ``(listeners,)``.
        song_factors: Shape ``(songs, factors)``.
        listener_factors: Shape ``(listeners, factors)``.
    """

    tracks: npt.NDArray[np.int64]
    listeners: npt.NDArray[np.int64]
    song_factors: Floats32
    listener_factors: Floats32


def factorise(pairs: pd.DataFrame, params: Categories) -> Factors | None:
    """Factors of who is in ``pairs``; None where they are fewer than `FEWEST`.

    Args:
        pairs: As `earmark.feedback.estimates.evidence.pair_up` gives them.
        params: How many factors, and how they are fitted.
    """
    pairs = pairs[pairs["plays"] > 0]
    tracks, listeners = np.unique(pairs["track"].to_numpy()), np.unique(pairs["listener"].to_numpy())
    if min(len(tracks), len(listeners)) < FEWEST:
        return None
    with _als(params.seed, params.factors, params.regularisation, params.iterations, len(pairs)) as model:
        model.fit(_matrix(pairs, tracks, listeners), show_progress=False)
    return Factors(tracks, listeners, np.array(model.item_factors), np.array(model.user_factors))


def redraws(factors: Factors, pairs: pd.DataFrame, params: Categories) -> Iterator[Floats32]:
    """Song factors if other listeners of the same kind had listened: a Poisson bootstrap over the listeners.

    Their own factors stay; each listener counts as often as a Poisson variable of mean 1 says.

    Args:
        factors: The fit.
        pairs: Of which it was made.
        params: How many draws, and with which seed.

    Yields:
        Shape ``(songs, factors)``, as often as ``params.redraws`` says.
    """
    from scipy.sparse import diags

    matrix = _matrix(pairs[pairs["plays"] > 0], factors.tracks, factors.listeners)
    rng = np.random.default_rng(params.seed)
    with _als(params.seed, params.factors, params.regularisation, params.iterations, len(pairs)) as model:
        model.user_factors, model.item_factors = factors.listener_factors, factors.song_factors
        for _ in range(params.redraws):
            often = diags(rng.poisson(1.0, len(factors.listeners)).astype(np.float32))
            drawn = (often @ matrix).T.tocsr()
            yield np.asarray(model.recalculate_item(np.arange(len(factors.tracks)), drawn), dtype=np.float32)


def _matrix(pairs: pd.DataFrame, tracks: npt.NDArray[np.int64], listeners: npt.NDArray[np.int64]) -> Any:
    """Confidences of who played what, sparse, shape ``(listeners, songs)``."""
    from scipy.sparse import csr_matrix

    rows = np.searchsorted(listeners, pairs["listener"].to_numpy())
    columns = np.searchsorted(tracks, pairs["track"].to_numpy())
    confidence = np.log2(1 + pairs["plays"].to_numpy()).astype(np.float32)
    return csr_matrix((confidence, (rows, columns)), shape=(len(listeners), len(tracks)))


def meeting_factors(met: Any, factors: int, seed: int) -> tuple[Floats32, Floats32]:
    """Factors of who met what, liked or not.

    Args:
        met: Sparse, shape ``(listeners, songs)``; 1 where they met.
        factors: How many.
        seed: Where the fit begins.

    Returns:
        Of the listeners ``(listeners, factors)`` and of the songs ``(songs, factors)``.
    """
    with _als(seed, factors, 0.1, 15, met.nnz) as model:
        model.fit(met, show_progress=False)
    return np.array(model.user_factors), np.array(model.item_factors)


def directions(factors: Floats32) -> Floats32:
    """Each row at length 1, shape as ``factors``."""
    return np.asarray(factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-12), dtype=np.float32)


@contextmanager
def _als(seed: int, factors: int, regularisation: float, iterations: int, pairs: int) -> Iterator[Any]:
    """The library's model; within the block, BLAS has one thread, as `implicit` asks: it has threads of its own.

    Of few ``pairs`` it has one too: its threads wait for each other without rest, on a busy machine many times as long.
    """
    import implicit.cpu.als  # noqa: F401  loads its own BLAS, which has to be there to be held back
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        from implicit.als import AlternatingLeastSquares

        yield AlternatingLeastSquares(
            factors=factors,
            regularization=regularisation,
            iterations=iterations,
            random_state=seed,
            use_gpu=False,
            num_threads=1 if pairs < _MANY else 0,
        )
