"""What has become of earlier tracks that a source does not list any more: moved, or gone."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from earmark.catalogue.sources.source import Candidate, Refusal
from earmark.catalogue.sources.walking import folders_above


def unlisted(before: pa.Table, source: str, candidates: Iterable[Candidate], refused: Iterable[Refusal]) -> list[str]:
    """Tracks from ``source`` in ``before`` that this listing does not name.

    What is refused now (a file that has become bad), or lies below a folder that could not be read, is named.
    """
    named = {candidate.path for candidate in candidates} | {refusal.path for refusal in refused}
    ids = before["track_id"].filter(pc.equal(before["source"], source)).to_pylist()
    return [each for each in ids if each not in named and named.isdisjoint(folders_above(each))]


def moves(before: pa.Table, missing: list[str], taken: pa.Table) -> dict[str, str]:
    """Of the ``missing`` tracks those whose very content is ``taken`` under a new name: earlier track_id → new one."""
    is_new = pc.invert(pc.is_in(taken["track_id"], value_set=before["track_id"].combine_chunks()))
    new = taken.filter(is_new)
    by_content = dict(zip(new["content_hash"].to_pylist(), new["track_id"].to_pylist(), strict=True))
    lost = before.filter(pc.is_in(before["track_id"], value_set=pa.array(missing, pa.string())))
    pairs = zip(lost["track_id"].to_pylist(), lost["content_hash"].to_pylist(), strict=True)
    return {track_id: by_content[content_hash] for track_id, content_hash in pairs if content_hash in by_content}
