"""Events that were told to the service, through the feedback's door into its store: `earmark feedback take`.

The door judges by Great Expectations, which takes seconds to import; so this is a process of its own, started when
events wait, by one worker at a time.
"""

import csv
import logging
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from earmark.files import locked
from earmark.params import Params
from earmark.serving.records import Records

LOCK = Path(".earmark/service/taking.lock")
_AT_ONCE = 20_000
_PATIENCE_S = 600.0

logger = logging.getLogger("bentoml.earmark")


def take(root: Path, params: Params) -> tuple[int, int]:
    """Bring all that waits through the door; how many events were taken, and how many refused.

    Raises:
        FeedbackError: The store cannot be used; what was not judged yet still waits.
        BlockingIOError: Another process is at it.
    """
    from earmark.adapters.feedback_rules import judging_feedback
    from earmark.feedback.collecting import importer
    from earmark.feedback.sources.service import ServiceEvents
    from earmark.feedback.store import Store
    from earmark.workspace import EXPECTATIONS

    records = Records.of(root, keep_days=0)
    taken = refused = 0
    with locked(root / LOCK, wait=False), Store.of(root) as store, tempfile.TemporaryDirectory() as folder:
        judge = judging_feedback(root / EXPECTATIONS, params)
        while waiting := records.waiting(_AT_ONCE):
            lines, refusals = Path(folder) / "events.jsonl", Path(folder) / "refused.csv"
            refusals.unlink(missing_ok=True)
            lines.write_text("".join(f"{content}\n" for _, content in waiting), encoding="utf-8")
            importer(root, params, store, judge).run(ServiceEvents(lines), refusals, again=True)
            reasons = _reasons(refusals)
            records.settle(
                [
                    (event_id, "refused" if event_id in reasons else "taken", reasons.get(event_id))
                    for event_id, _ in waiting
                ]
            )
            taken, refused = taken + len(waiting) - len(reasons), refused + len(reasons)
    return taken, refused


def _reasons(refusals: Path) -> dict[str, str]:
    if not refusals.exists():
        return {}
    with refusals.open(encoding="utf-8", newline="") as file:
        return {row["where"]: row["reason"] for row in csv.DictReader(file)}


class Taker:
    """Has `earmark feedback take` run when events wait; nothing that goes wrong there reaches a request.

    Args:
        root: The project.
        records: Asked whether any wait.
        every_s: At most so often, so that events gather.
    """

    def __init__(self, root: Path, records: Records, *, every_s: float = 10.0) -> None:
        self._root, self._records, self._every_s = root, records, every_s
        self._told, self._stop = threading.Event(), threading.Event()
        self._told.set()  # some may have been left by a process that was killed
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, name="feedback-taker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what waits is taken by another worker, or at the next start."""
        self._stop.set()
        self._told.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def poke(self) -> None:
        """Events have come in."""
        self._told.set()

    def _work(self) -> None:
        while True:
            self._told.wait()
            if self._stop.wait(self._every_s):
                return
            self._told.clear()
            try:
                if self._records.waiting(1):
                    self._run()
            except Exception as error:
                logger.warning("events of listeners wait: %s", error)
                self._told.set()

    def _run(self) -> None:
        command = [sys.executable, "-m", "earmark.cli", "--root", str(self._root), "feedback", "take"]
        with tempfile.TemporaryFile() as said:
            self._process = subprocess.Popen(command, stdout=said, stderr=said, cwd=self._root)
            code = self._process.wait(_PATIENCE_S)
            if code and not self._stop.is_set():
                said.seek(0)
                words = said.read()[-2_000:].decode("utf-8", "replace").strip()
                logger.warning("events of listeners wait, as `earmark feedback take` ended with %d: %s", code, words)
                self._told.set()
