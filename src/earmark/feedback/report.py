"""What an import did and what the store holds, for reading."""

from pathlib import Path

from earmark.feedback.door import FORGOTTEN, Imported
from earmark.feedback.snapshot import changed_days
from earmark.feedback.store import Store


def counted(count: int, noun: str) -> str:
    """As people write it: 1 file, 1,234 files."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def nothing_taken(result: Imported) -> bool:
    """Whether every row was refused, and not only because its listener was forgotten."""
    return bool(result.rows) and not result.told and not result.before and set(result.refused) != {FORGOTTEN}


def summary(result: Imported, source: str, refusals: Path) -> str:
    """A short text for people; all its numbers add up."""
    if not result.parts and result.before:
        known = "its file was" if result.before == 1 else f"all of its {result.before:,} files were"
        return f"{source}: {known} imported before; nothing is new. (--again reads what was.)"
    refused = sum(result.refused.values())
    lines = [
        f"{source}: {counted(result.rows, 'row')} in {counted(result.parts, 'file')}; {result.told:,} taken, "
        f"{refused:,} refused." + (f" Imported before: {counted(result.before, 'file')}." if result.before else ""),
        f"  {result.new:9,}  events are new",
        f"  {result.events - result.new:9,}  events were there already",
    ]
    lines += [f"  {result.superseded:9,}  of them told less exactly what is here, removed"] if result.superseded else []
    lines += [f"  {count:9,}  rows refused: {reason}" for reason, count in result.refused.most_common()]
    lines += [f"  {count:9,}  days of a listener: {rule}" for rule, count in result.flagged.most_common()]
    if result.events:
        others = "; the others are kept too" if result.of_tracks < result.events else ""
        of_all = f"{result.of_tracks:,} of {counted(result.events, 'event')}"
        lines.append(f"{of_all} are of tracks of the catalogue in use{others}.")
    if refused:
        lines.append(f"Every refused row with its reason: {refusals}")
    if not nothing_taken(result):
        lines.append("Next: earmark feedback snapshot")
    return "\n".join(lines)


def standing(store: Store, snapshot: Path) -> str:
    """What is in ``store``, and which of its days the snapshot lacks or has in an older version."""
    counts = store.counts()
    days = len(changed_days(store, snapshot))
    return (
        f"{counted(counts['events'], 'event')} of {counted(counts['people'], 'listener')} with "
        f"{counted(counts['songs'], 'song')} on {counted(counts['days'], 'day')}.\n"
        + (
            f"The snapshot lacks changes of {counted(days, 'day')}: earmark feedback snapshot"
            if days
            else "The snapshot has all."
        )
    )
