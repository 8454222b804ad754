"""What an import did and what the store holds, for reading."""

from pathlib import Path

from earmark.feedback.door import Imported
from earmark.feedback.snapshot import changed_days
from earmark.feedback.store import Store


def summary(result: Imported, source: str, refusals: Path) -> str:
    """A short text for people; all its numbers add up."""
    if not result.parts and result.before:
        return f"{source}: all of its {result.before} files were imported before; nothing is new. (--again reads them.)"
    refused = sum(result.refused.values())
    lines = [
        f"{source}: {result.rows:,} rows in {result.parts} files; {result.told:,} taken, {refused:,} refused."
        + (f" {result.before} files were imported before." if result.before else ""),
        f"  {result.new:9,}  events are new",
        f"  {result.events - result.new:9,}  events were there already",
    ]
    lines += [f"  {result.superseded:9,}  of them told less exactly what is here, removed"] if result.superseded else []
    lines += [f"  {count:9,}  rows refused: {reason}" for reason, count in result.refused.most_common()]
    lines += [f"  {count:9,}  days of a listener: {rule}" for rule, count in result.flagged.most_common()]
    others = "; the others are kept too" if result.of_tracks < result.events else ""
    lines.append(f"{result.of_tracks:,} of {result.events:,} events are of tracks of the catalogue in use{others}.")
    if refused:
        lines.append(f"Every refused row with its reason: {refusals}")
    lines.append("Next: earmark feedback snapshot")
    return "\n".join(lines)


def standing(store: Store, snapshot: Path) -> str:
    """What is in ``store``, and which of its days the snapshot lacks or has in an older version."""
    counts = store.counts()
    days = len(changed_days(store, snapshot))
    return (
        f"{counts['events']:,} events of {counts['people']:,} listeners with {counts['songs']:,} songs on "
        f"{counts['days']:,} days.\n"
        + (
            f"The snapshot lacks changes of {days:,} days: earmark feedback snapshot"
            if days
            else "The snapshot has all."
        )
    )
