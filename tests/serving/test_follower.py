"""The follower: what it swaps, what it refuses, and what it puts up with."""

import threading
import time
from dataclasses import dataclass, field, replace

import pytest
import torch
from serving_tools import LABELS, untrained

from earmark.errors import RegistryError
from earmark.serving.champion import Champion
from earmark.serving.errors import ChampionRefused
from earmark.serving.follower import Follower, self_test


@dataclass
class Shelf:
    """A source whose champion the test decides: the real protocol, without a registry behind it."""

    predictors: dict[str, object] = field(default_factory=dict)
    champion: str | None = None
    down: bool = False
    loads: list[str] = field(default_factory=list)

    def version(self) -> str | None:
        if self.down:
            raise RegistryError("The registry cannot be reached.")
        return self.champion

    def load(self) -> Champion:
        assert self.champion is not None
        self.loads.append(self.champion)
        return Champion(self.predictors[self.champion], "earmark", self.champion, "a run")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({"1": untrained(seed=1), "2": untrained(seed=2)}, champion="1")


def broken(*, bias: float, layer: str = "genre"):
    """A predictor one of whose heads, for genres or for tags, says ``bias``."""
    predictor = untrained(seed=3)
    with torch.no_grad():
        getattr(predictor.networks[0], layer).bias.fill_(bias)
    return predictor


class TestFollowing:
    def test_it_takes_the_champion_that_it_finds(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        follower.look()
        assert follower.champion.version == "1"
        assert follower.trouble is None

    def test_it_loads_a_version_once_however_often_it_looks(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        for _ in range(3):
            follower.look()
        assert shelf.loads == ["1"]

    def test_a_new_champion_takes_the_place_of_the_old(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        follower.look()
        shelf.champion = "2"
        follower.look()
        assert (follower.champion.version, follower.champion.predictor) == ("2", shelf.predictors["2"])

    def test_it_follows_back_to_an_older_version_too(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        for version in ("2", "1"):
            shelf.champion = version
            follower.look()
        assert follower.champion.version == "1"

    def test_without_a_champion_it_has_none_and_says_what_helps(self):
        follower = Follower(Shelf(), every_s=1.0)
        follower.look()
        assert follower.champion is None
        assert "earmark demo" in follower.trouble

    def test_in_the_background_it_finds_a_new_champion_within_a_few_looks(self, shelf):
        follower = Follower(shelf, every_s=0.02)
        follower.start(patience_s=10.0)
        assert follower.champion.version == "1"
        shelf.champion = "2"
        deadline = time.monotonic() + 5.0
        while follower.champion.version != "2" and time.monotonic() < deadline:
            time.sleep(0.01)
        follower.stop()
        assert follower.champion.version == "2"

    @pytest.mark.timeout(60)
    def test_a_slow_registry_does_not_hold_up_the_start(self, shelf):
        answered = threading.Event()
        version = shelf.version
        shelf.version = lambda: (answered.wait(), version())[1]
        follower = Follower(shelf, every_s=1.0)
        follower.start(patience_s=0.1)
        assert follower.champion is None
        answered.set()
        follower.stop()


class TestTrouble:
    def test_a_registry_that_is_down_leaves_the_champion_in_service(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        follower.look()
        shelf.down = True
        follower.look()
        assert follower.champion.version == "1"
        assert "cannot be reached" in follower.trouble

    def test_it_warns_once_and_says_when_it_is_over(self, shelf, caplog):
        caplog.set_level("INFO", logger="bentoml.earmark")
        follower = Follower(shelf, every_s=1.0)
        follower.look()
        shelf.down = True
        for _ in range(5):
            follower.look()
        shelf.down = False
        follower.look()
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1
        assert "can be followed again" in caplog.records[-1].message

    def test_an_alias_that_was_taken_away_leaves_the_last_champion_in_service(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        follower.look()
        shelf.champion = None
        follower.look()
        assert follower.champion.version == "1"

    def test_a_version_that_fails_its_self_test_is_refused_and_not_fetched_again(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        follower.look()
        shelf.predictors["2"] = broken(bias=float("nan"))
        shelf.champion = "2"
        for _ in range(3):
            follower.look()
        assert follower.champion.version == "1"
        assert shelf.loads == ["1", "2"]
        assert "version 2 fails its self-test" in follower.trouble

    def test_after_a_refused_version_the_next_good_one_is_taken(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        shelf.predictors["0"] = broken(bias=float("nan"))
        for version in ("0", "2"):
            shelf.champion = version
            follower.look()
        assert follower.champion.version == "2"
        assert follower.trouble is None

    def test_a_version_that_cannot_be_loaded_now_is_tried_again(self, shelf):
        follower = Follower(shelf, every_s=1.0)
        good = shelf.predictors.pop("1")
        follower.look()
        assert follower.champion is None
        shelf.predictors["1"] = good
        follower.look()
        assert follower.champion.version == "1"

    def test_the_exported_copy_helps_out_while_the_registry_is_down_at_the_start(self, shelf):
        spare = Shelf({"1": untrained(seed=1)}, champion="1")
        shelf.champion, shelf.down = "2", True
        follower = Follower(shelf, every_s=1.0, spare=spare)
        follower.look()
        assert follower.champion.version == "1"
        shelf.down = False
        follower.look()
        assert follower.champion.version == "2"

    def test_a_registry_that_answers_and_has_no_champion_is_believed(self):
        spare = Shelf({"1": untrained(seed=1)}, champion="1")
        follower = Follower(Shelf(), every_s=1.0, spare=spare)
        follower.look()
        assert follower.champion is None


class TestSelfTest:
    def test_an_untrained_network_passes(self):
        self_test(untrained())

    def test_tags_that_are_no_shares_fail(self):
        with pytest.raises(ChampionRefused, match="tags"):
            self_test(broken(bias=float("nan"), layer="tags"))

    def test_a_network_that_answers_nan_fails(self):
        with pytest.raises(ChampionRefused, match="nan"):
            self_test(broken(bias=float("nan")))

    def test_a_network_that_knows_fewer_labels_than_it_claims_fails(self):
        with pytest.raises(Exception, match=r".+"):
            self_test(replace(untrained(), labels=(*LABELS, "one more")))
