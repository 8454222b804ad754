"""Progress for long work: a bar in a terminal, a line now and then in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], *, description: str, total: int | None = None, unit: str = "track"
) -> Iterator[Item]:
    """Yield ``items`` and show on standard error how far it is."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=description,
        total=total,
        unit=unit,
        mininterval=0.1 if terminal else 5.0,
        maxinterval=10.0,
        dynamic_ncols=terminal,
        ascii=not terminal,
        file=sys.stderr,
    )
