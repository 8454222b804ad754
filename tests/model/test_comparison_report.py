"""A comparison as people read it."""

from dataclasses import replace

import numpy as np

from earmark.model.comparing.comparison import Said, Truth, compare
from earmark.model.comparing.cost import Cost
from earmark.model.comparing.promises import Promise
from earmark.model.comparing.promotion import Gate
from earmark.model.comparing.report import aligned, as_markdown, gate_table, lines, markdown
from earmark.model.metrics import Score
from earmark.params import Evaluation

LABELS = ("jig", "reel")
GENRES = ("jig",) * 10 + ("reel",) * 10


def found(right: int = 20):
    """Ours is right ``right`` times of 20, theirs 10 times."""

    def said(answers):
        genres = np.eye(2)[[LABELS.index(answer) for answer in answers]]
        return Said(LABELS, genres, ("word---glad",), np.linspace(0, 1, 20)[:, None])

    told = np.stack([np.linspace(0, 1, 20), np.ones(20)], axis=1)[:, :, None]
    truth = Truth(GENRES, tuple(map(str, range(20))), ("word---glad",), told)
    ours = GENRES[:right] + ("jig",) * (20 - right)
    comparison = compare(said(ours), said(("jig",) * 20), truth, Evaluation(seed=1, resamples=200, confidence=0.95))
    cost = Cost(median_ms=120.0, p95_ms=150.5, mib=1.25, parameters=312_000)
    return replace(comparison, our_cost=cost, their_cost=replace(cost, median_ms=240.0))


class TestLines:
    def test_each_score_is_told_of_both_with_the_interval_of_the_difference(self):
        text = "\n".join(lines(found()))
        assert "On 20 tracks of 20 groups" in text and "95% interval" in text
        row = next(line.split() for line in text.splitlines() if line.strip().startswith("accuracy"))
        assert row[1:4] == ["1.000", "0.500", "+0.500"] and row[-3:] == ["A", "is", "better"]

    def test_where_lower_is_better_the_lower_one_is_called_better(self):
        row = next(line for line in lines(found()) if line.strip().startswith("log loss"))
        assert row.endswith("A is better") and " -" in row

    def test_a_difference_whose_interval_holds_0_is_called_unclear(self):
        row = next(line for line in lines(found(right=11)) if line.strip().startswith("accuracy"))
        assert row.endswith("no clear difference")

    def test_what_was_promised_stands_beside_the_calibration_error_and_is_not_called_better(self):
        kept = Promise("set_coverage", Score(0.9, 0.8, 1.0), Score(0.7, 0.6, 0.8), Score(0.2, 0.1, 0.3), (0.9, 0.9))
        alone = Promise("interval_coverage", Score(0.91, 0.8, 1.0), None, None, (0.95, None))
        rows = list(lines(replace(found(), promises=(kept, alone))))
        place = next(number for number, row in enumerate(rows) if "calibration error" in row)
        first, second = (" ".join(row.split()) for row in rows[place + 1 : place + 3])
        assert first == "sets hold the genre 0.900 0.700 +0.200 [+0.100, +0.300] promised: 0.9"
        assert second == "intervals hold the share 0.910 – – – promised: 0.95"
        other = replace(kept, promised=(0.9, 0.8))
        assert any("promised: 0.9 by A, 0.8 by B" in row for row in lines(replace(found(), promises=(other,))))

    def test_cost_genres_and_tags_follow(self):
        text = "\n".join(lines(found()))
        assert [
            cell.strip() for cell in next(line for line in text.splitlines() if "median" in line).split("  ") if cell
        ] == ["median, ms", "120.0", "240.0", "0.50"]
        assert "312,000" in text and "word: glad" in text and text.index("By genre") < text.index("Tags")

    def test_columns_stand_below_each_other(self):
        rows = list(aligned([["", "A"], ["log loss", "0.1"], ["ece", "10.25"]]))
        assert [row.rstrip()[-5:] for row in rows] == ["    A", "  0.1", "10.25"]

    def test_against_the_majority_class_there_is_no_other_cost(self):
        text = "\n".join(lines(replace(found(), their_cost=None)))
        assert "median, ms" in text and "–" in text


class TestMarkdown:
    def test_it_has_the_same_rows_as_tables(self):
        text = markdown(found())
        assert "| accuracy | 1.000 | 0.500 | +0.500 |" in text
        assert text.count("| --- |") >= 3

    def test_gates_are_a_table_and_a_failed_one_is_not_overlooked(self):
        gates = [Gate("gain", True, "+0.1", "above 0", "so | so"), Gate("size", False, "9", "8", "too large")]
        table = as_markdown(gate_table(gates)).splitlines()
        assert table[0] == "| gate | verdict | found | needed | why |"
        assert "| passed |" in table[2] and "so \\| so" in table[2] and "| FAILED |" in table[3]
