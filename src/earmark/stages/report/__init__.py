"""Stage `report`: all that is known of a run on one page, for people who know music rather than statistics.

The page is one file: pictures, style and a few seconds of sound are in it, and it asks no other address for anything.
"""

import sys
from pathlib import Path

from earmark.files import replacing
from earmark.params import Params
from earmark.stages.report.mistakes import heard_mistakes
from earmark.stages.report.page import page
from earmark.stages.report.reading import read_reports
from earmark.workspace import REPORT

MOST_BYTES = 5_000_000


def run(params: Params, root: Path) -> None:
    """Write reports/report.html.

    Raises:
        ModelError: The network is missing.
        CatalogueError: A recording is not there, or no longer what it was.
    """
    reports = read_reports(root)
    mistakes = heard_mistakes(reports, params, root)
    content = page(reports, mistakes, params)
    with replacing(root / REPORT) as part:
        part.write_text(content, encoding="utf-8")
    print(f"report: {REPORT}, {len(content.encode()) / 1e6:.1f} MB; open it in a browser", file=sys.stderr)
