import numpy as np

from earmark.model.network.excerpts import excerpt, spread, starts


def ramp(frames: int) -> np.ndarray:
    return np.arange(frames, dtype=np.float16)[:, None].repeat(3, axis=1)


class TestStarts:
    def test_they_reach_from_the_very_start_to_the_very_end(self):
        assert starts(100, frames=20, count=5) == [0, 20, 40, 60, 80]

    def test_a_recording_of_one_excerpt_has_one_start(self):
        assert starts(20, frames=20, count=5) == [0]

    def test_starts_that_would_fall_together_are_one(self):
        assert starts(22, frames=20, count=5) == [0, 1, 2]


class TestExcerpt:
    def test_it_is_a_stretch_of_the_recording(self):
        np.testing.assert_array_equal(excerpt(ramp(10), 4, frames=3)[:, 0], [4, 5, 6])

    def test_a_short_recording_is_repeated(self):
        np.testing.assert_array_equal(excerpt(ramp(3), 0, frames=7)[:, 0], [0, 1, 2, 0, 1, 2, 0])


class TestSpread:
    def test_every_excerpt_is_equally_long(self):
        assert spread(ramp(100), frames=16, count=4).shape == (4, 16, 3)
