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


class TestTryingAgain:
    """With a clock that the test moves; looks come every second."""

    @pytest.fixture
    def clock(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def follower(self, shelf, clock) -> Follower:
        follower = Follower(shelf, every_s=1.0, clock=lambda: clock[0])
        follower.look()
        return follower

    def looks(self, follower: Follower, clock: list[float], seconds: int) -> None:
        for _ in range(seconds):
            clock[0] += 1.0
            follower.look()

    def test_a_download_that_fails_is_tried_again_ever_more_rarely(self, shelf, follower, clock, caplog):
        shelf.champion = "2"
        del shelf.predictors["2"]
        self.looks(follower, clock, 600)
        tries = shelf.loads.count("2")
        assert 10 + 6 <= tries <= 10 + 8  # once a minute, after the first, which come at 0, 0, 1, 3, 7, 15, 31 s
        assert follower.champion.version == "1"
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1

    def test_another_version_does_not_wait_for_it(self, shelf, follower, clock):
        shelf.champion = "2"
        del shelf.predictors["2"]
        self.looks(follower, clock, 100)
        shelf.predictors["3"], shelf.champion = untrained(seed=3), "3"
        self.looks(follower, clock, 1)
        assert follower.champion.version == "3"

    def test_what_was_taken_meanwhile_is_believed_at_once(self, shelf, follower, clock):
        shelf.champion = "2"
        del shelf.predictors["2"]
        self.looks(follower, clock, 100)
        shelf.champion = "1"
        self.looks(follower, clock, 1)
        assert follower.champion.version == "1" and follower.trouble is None


class TestPreparing:
    def test_what_is_prepared_is_what_serves(self, shelf):
        other = untrained(seed=7)
        follower = Follower(shelf, every_s=1.0, prepare=lambda champion: replace(champion, predictor=other))
        follower.look()
        assert follower.champion.predictor is other

    def test_what_is_prepared_is_what_is_tested(self, shelf):
        spoilt = broken(bias=float("nan"))
        follower = Follower(shelf, every_s=1.0, prepare=lambda champion: replace(champion, predictor=spoilt))
        follower.look()
        assert follower.champion is None and "self-test" in follower.trouble

    def test_a_version_that_cannot_be_prepared_is_refused_and_not_fetched_again(self, shelf):
        def fail(_: Champion) -> Champion:
            raise RuntimeError("no engine")

        follower = Follower(shelf, every_s=1.0, prepare=fail)
        for _ in range(3):
            follower.look()
        assert shelf.loads == ["1"] and "no engine" in follower.trouble

    def test_a_version_at_hand_is_neither_loaded_nor_prepared(self, shelf):
        there = Champion(shelf.predictors["2"], "earmark", "2", "a run")
        follower = Follower(
            shelf, every_s=1.0, at_hand={"2": there}.get, prepare=lambda champion: replace(champion, run_id="prepared")
        )
        follower.look()
        assert follower.champion.run_id == "prepared"
        shelf.champion = "2"
        follower.look()
        assert follower.champion is there and shelf.loads == ["1"]

    def test_while_a_version_is_prepared_the_one_before_answers(self, shelf):
        entered, go_on = threading.Event(), threading.Event()

        def slowly(champion: Champion) -> Champion:
            if champion.version == "2":
                entered.set()
                go_on.wait(30)
            return champion

        follower = Follower(shelf, every_s=0.01, prepare=slowly)
        follower.start(patience_s=10.0)
        shelf.champion = "2"
        assert entered.wait(10)
        assert follower.champion.version == "1"
        go_on.set()
        deadline = time.monotonic() + 5.0
        while follower.champion.version != "2" and time.monotonic() < deadline:
            time.sleep(0.01)
        follower.stop()
        assert follower.champion.version == "2"


class TestOtherAliases:
    def test_without_a_canary_there_is_none_and_no_trouble(self):
        follower = Follower(Shelf(), every_s=1.0, alias="canary")
        follower.look()
        assert (follower.champion, follower.trouble) == (None, None)

    def test_a_canary_goes_when_its_alias_goes_and_stays_when_the_registry_is_down(self, shelf):
        changes: list[int] = []
        follower = Follower(shelf, every_s=1.0, alias="canary", changed=lambda: changes.append(1))
        follower.look()
        shelf.down = True
        follower.look()
        assert follower.champion.version == "1" and "cannot be reached" in follower.trouble
        shelf.down, shelf.champion = False, None
        for _ in range(3):
            follower.look()
        assert follower.champion is None and len(changes) == 2


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
