"""The stage `evidence`: a snapshot of feedback and the catalogue in; what each listener did with each track out."""

import sys
from pathlib import Path

import pyarrow as pa

from earmark.catalogue.hearing import listened_to
from earmark.catalogue.labels.matching import Known
from earmark.feedback.estimates.evidence import pair_up
from earmark.feedback.estimates.factors import factorise
from earmark.feedback.estimates.files import Evidence, write_evidence
from earmark.feedback.estimates.listening import read_listening
from earmark.feedback.estimates.words import in_vocabulary
from earmark.feedback.snapshot import LISTENERS, table_of
from earmark.feedback.tracks import Tracks
from earmark.files import write_json
from earmark.params import Params
from earmark.workspace import EVIDENCE, EVIDENCE_SUMMARY, SNAPSHOTS


def run(params: Params, root: Path) -> None:
    """Write data/evidence/ and reports/evidence.json.

    Raises:
        CatalogueError: There is no catalogue.
        FeedbackError: There is no such snapshot.
    """
    snapshot = root / SNAPSHOTS / params.feedback.snapshot
    catalogue = listened_to(root, params.catalogue.collection)
    known = Tracks.of(pa.Table.from_pandas(catalogue[[*Known._fields]], preserve_index=False))
    listening = read_listening(snapshot, catalogue, known, params.feedback.bot_days)
    pairs = pair_up(listening.doings, listening.now_us, params.targets)
    factors = factorise(pairs, params.categories)
    said = in_vocabulary(
        listening.said,
        min_listeners=max(params.targets.min_word_listeners, params.feedback.min_listeners),
        max_share=params.targets.max_word_share,
    )
    attributes = table_of(snapshot, LISTENERS).to_pandas()
    evidence = Evidence(
        catalogue["track_id"].tolist(), pairs, said, listening.counts, attributes, factors, listening.now_us
    )
    write_evidence(evidence, root / EVIDENCE)
    told = listening.told | {
        "pairs": len(pairs),
        "answers": int(pairs["answer"].notna().sum()),
        "words": int((said["kind"] != "feeling").sum()),
        "feelings": int((said["kind"] == "feeling").sum()),
        "factors": 0 if factors is None else factors.song_factors.shape[1],
    }
    write_json(root / EVIDENCE_SUMMARY, told)
    print(
        f"evidence: {told['events_of_tracks']:,} of {told['events']:,} events are of {told['tracks_heard']:,} tracks "
        f"by {told['listeners']:,} listeners; {told['listeners_left_out']:,} more were left out as bots",
        file=sys.stderr,
    )
