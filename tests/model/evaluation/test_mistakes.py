"""The surest wrong answers come first, and right ones never."""

import numpy as np
import pandas as pd
from tested_songs import answers, asked, said

from earmark.model.evaluation.mistakes import MOST, mistakes


def tracks(count: int) -> pd.DataFrame:
    names = ("track_id", "content_hash", "path", "group")
    return pd.DataFrame({name: [f"{name} {place}" for place in range(count)] for name in names})


class TestMistakes:
    GENRES = np.array([[0.2, 0.5, 0.3], [0.05, 0.9, 0.05], [0.3, 0.3, 0.4], [0.1, 0.2, 0.7]])

    def test_the_surest_wrong_answer_comes_first(self):
        table = mistakes(asked([0, 0, 0, 2], {"ear": answers(self.GENRES)}), tracks(4))
        assert list(table["track_id"]) == ["track_id 1", "track_id 0", "track_id 2"]
        first = table.iloc[0]
        assert (first["genre"], first["said"], first["confidence"], first["probability"]) == ("folk", "jazz", 0.9, 0.05)

    def test_it_says_which_others_said_the_same(self):
        told = {"ear": answers(self.GENRES), "same": said([1, 1, 0, 2]), "other": said([0, 1, 0, 2])}
        table = mistakes(asked([0, 0, 0, 2], told), tracks(4)).query("model == 'ear'").set_index("track_id")
        assert list(table["also"]) == ["same other", "same", ""]

    def test_a_model_that_is_always_right_has_none(self):
        table = mistakes(asked([0, 1], {"ear": said([0, 1])}), tracks(2))
        assert table.empty
        assert "confidence" in table

    def test_of_many_only_the_surest_are_listed(self):
        table = mistakes(asked(np.zeros(90, dtype=int), {"ear": said(np.ones(90, dtype=int))}), tracks(90))
        assert len(table) == MOST
