"""The report's page: whole in itself, true to the numbers, and safe with titles that anybody may have written."""

import dataclasses
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from earmark.model.answers import Answers
from earmark.model.evaluation import tested as songs
from earmark.model.evaluation.mistakes import mistakes
from earmark.model.evaluation.per_class import per_class
from earmark.model.evaluation.scores import differences, scores
from earmark.model.evaluation.sureness import reliability, risk_coverage_curves, sureness
from earmark.model.reasons.attribution import Why
from earmark.params import Evaluation, load_params
from earmark.stages.report.mistakes import Mistake
from earmark.stages.report.page import page
from earmark.stages.report.reading import Reports
from earmark.stages.report.sections import scores as scores_of
from scratch import CHECKOUT

LABELS = ("folk", "jazz & blues", "rock")
HOW = Evaluation(seed=1, resamples=100, confidence=0.95)
EVIL = "<script>alert(1)</script>"
PARAMS = load_params(CHECKOUT / "params.yaml")


def answered(rng: np.random.Generator, actual, right: float) -> Answers:
    said = np.where(rng.random(len(actual)) < right, actual, (actual + 1) % 3)
    genres = np.full((len(actual), 3), 0.1)
    genres[np.arange(len(actual)), said] = rng.uniform(0.5, 0.9, len(actual))
    return Answers(genres / genres.sum(axis=1, keepdims=True), np.zeros((len(actual), 0)), np.zeros((len(actual), 1)))


def reports(*, right: float = 0.8, **other) -> Reports:
    """Of sixty songs; the network right as often as said, the forest in half of the cases."""
    rng = np.random.default_rng(0)
    actual = np.arange(60) % 3
    told = {"network": answered(rng, actual, right), "forest": answered(rng, actual, 0.5)}
    tested = songs.Tested(
        LABELS, actual, np.arange(60).astype(object), told, dict.fromkeys(told), np.array([20, 30, 10])
    )
    found, sure = scores(tested, HOW), sureness(tested, HOW)
    metrics = {kind: {**found[kind], **sure[kind]} for kind in found} | {
        "differences": differences(tested, HOW),
        "held_out": {
            "network": {"accuracy": 0.7, "accuracy_low": 0.6, "accuracy_high": 0.8, "log_loss": 0.8, "tracks": 40},
            "forest": {"accuracy": 0.6, "accuracy_low": 0.5, "accuracy_high": 0.7, "log_loss": 0.9, "tracks": 40},
        },
        "held_out_difference": {
            "network": {"forest": {"accuracy": 0.1, "accuracy_low": -0.1, "accuracy_high": 0.3}},
            "forest": {"network": {"accuracy": -0.1, "accuracy_low": -0.3, "accuracy_high": 0.1}},
        },
        **{"test_tracks": 60, "test_groups": 60, "genres": 3, "leakage": {}, "categories": {}, "tags": {}},
    }
    names = np.array(LABELS, dtype=object)
    confusion = [
        pd.DataFrame({"model": kind, "actual": names[actual], "predicted": names[each.genres.argmax(axis=1)]})
        for kind, each in told.items()
    ]
    tracks = pd.DataFrame({name: [f"{name}{place}" for place in range(60)] for name in ("track_id", "content_hash")})
    tracks = tracks.assign(path="a.wav", group="someone")
    whole = Reports(
        metrics=metrics,
        per_class=per_class(tested, HOW),
        confusion=pd.concat(confusion, ignore_index=True),
        tags=pd.DataFrame(columns=["model", "tag", "songs", "r", "ceiling", "r_low", "r_high"]),
        reliability=reliability(tested),
        risk_coverage=risk_coverage_curves(tested),
        mistakes=mistakes(tested, tracks),
        titles=pd.DataFrame({"title": [], "artist": []}),
    )
    return dataclasses.replace(whole, **other)


def mistake(**other) -> Mistake:
    why = Why(
        label="rock",
        bands=np.array([1.0, -2.0, 0.5, 3.0]),
        band_hz=np.array([100.0, 400.0, 1_600.0, 6_000.0]),
        moments=np.array([0.2, -0.1, 0.9]),
        moment_seconds=np.array([2.0, 6.0, 10.0]),
        heard=np.ones(3),
        difference=2.5,
        gap=0.0,
    )
    values = {
        **{"title": "A song", "artist": "Somebody", "track_id": "a.wav", "genre": "folk", "said": "rock"},
        **{"confidence": 0.9, "probability": 0.05, "also": ("forest",), "sound": None, "start_s": 8.0, "why": why},
    }
    return Mistake(**values | other)


def attribution(**passes: bool) -> dict:
    """As the stage `explain` writes it: folk by its second band and its last tenth, rock the other way round."""
    gain = {"gain": 0.11, "gain_low": 0.05, "gain_high": 0.17}

    def told(where: str, places: list[float], adds: list[float]) -> dict[str, list[float]]:
        return {where: places, "importance": adds, "low": [x - 0.1 for x in adds], "high": [x + 0.1 for x in adds]}

    tenths = [n / 10 + 0.05 for n in range(10)]
    classes = {
        name: {
            **gain,
            **{"songs": 4, "artists": 3, "passes": passes.get(name, True), "gap": 0.01},
            "bands": told("band_hz", [100.0, 300.0, 1500.0, 6000.0], [0.0, 2.0 * sign, 0.1, -0.2]),
            "moments": told("moment", tenths, [0.1 * sign] * 9 + [0.9 * sign]),
        }
        for name, sign in (("folk", 1), ("rock", -1))
    }
    return {"part": "validation", "baseline": "silence", "songs": 8, "passes": True, **gain, "classes": classes}


class Parsed(HTMLParser):
    """Addresses, tags that are open at the end, tables and their captions, pictures and their words."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses, self.open, self.tags, self.nameless = [], [], [], []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.text += " "
        self.tags.append(tag)
        self.addresses += [given[name] for name in ("src", "href", "action") if name in given]
        if given.get("role") == "img" and not given.get("aria-label"):
            self.nameless.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def shown(of: Reports, wrong: list[Mistake] | None = None) -> tuple[str, Parsed]:
    text = page(of, wrong or [], PARAMS)
    return text, Parsed(text)


def section(of: Reports, name: str) -> ElementTree.Element:
    """A section of the page, to be searched."""
    text = page(of, [], PARAMS)
    start = text.index(f'<section id="{name}">')
    whole = text[start : text.index("</section>", start)] + "</section>"
    return ElementTree.fromstring(whole.replace("&nbsp;", " "))


def words_of(part: ElementTree.Element) -> str:
    return " ".join("".join(part.itertext()).split())


def with_class(part: ElementTree.Element, tag: str, name: str) -> list[ElementTree.Element]:
    return [each for each in part.iter(tag) if name in each.get("class", "").split()]


def corners(line: ElementTree.Element) -> np.ndarray:
    """Pixels, shape (points, 2)."""
    return np.array([pair.split(",") for pair in line.get("points").split()], dtype=float)


class Chart:
    """A picture with two axes, read as one does: by the percentages that stand along them."""

    def __init__(self, figure: ElementTree.Element) -> None:
        self.said = words_of(figure.find("figcaption"))
        self.svg = figure.find("svg")
        texts = list(self.svg.iter("text"))
        self.names = [each.text for each in texts if each.get("class") == "name"]
        ticks = [(each, float(each.text[:-1]) / 100) for each in texts if each.text.endswith("%")]
        below = [(float(each.get("x")), share) for each, share in ticks if each.get("text-anchor") == "middle"]
        heights = np.array([corners(line)[0, 1] for line in with_class(self.svg, "polyline", "grid")])
        beside = [
            (heights[np.abs(heights - float(each.get("y"))).argmin()], share)  # of the line that the words stand at
            for each, share in ticks
            if each.get("text-anchor") == "end"
        ]
        self._lines = [np.polyfit(*zip(*axis, strict=True), 1) for axis in (below, beside)]
        (right, _), (up, _) = self._lines
        assert right > 0 > up  # more is further to the right, and higher up: pixels count from above

    def shares(self, pixels: np.ndarray) -> np.ndarray:
        """Of points, shape (points, 2): to the right, and up."""
        return np.stack([np.polyval(line, pixels[:, axis]) for axis, line in enumerate(self._lines)], axis=1)

    def line(self, look: str) -> np.ndarray:
        """The points of the only line that looks so."""
        (found,) = with_class(self.svg, "polyline", look)
        return self.shares(corners(found))


HALF_A_PIXEL = 0.002  # of an axis


class TestPage:
    def test_it_is_whole_in_itself(self):
        text, parsed = shown(reports(), [mistake(sound="data:audio/mpeg;base64,AAAA")])
        assert parsed.open == []
        assert "script" not in parsed.tags
        assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
        assert not re.search(r"url\(|@import|https?://", text)

    def test_every_link_leads_to_a_section_that_is_there(self):
        text, parsed = shown(reports(), [mistake()])
        for address in parsed.addresses:
            assert not address.startswith("#") or f'id="{address[1:]}"' in text

    def test_every_table_has_a_caption_and_every_picture_words(self):
        _, parsed = shown(reports(), [mistake()])
        assert parsed.tags.count("table") == parsed.tags.count("caption") > 3
        assert parsed.nameless == []

    def test_what_others_wrote_is_text_and_nothing_else(self):
        of = reports(label_review=pd.DataFrame([{"track_id": EVIL, "title": EVIL, "given": EVIL, "suggested": EVIL}]))
        text, _ = shown(of, [mistake(title=EVIL, artist=EVIL, track_id=EVIL, genre=EVIL, said=EVIL)])
        assert EVIL not in text
        assert "&lt;script&gt;" in text
        assert "jazz &amp; blues" in text

    def test_the_first_sentence_is_the_accuracy_beside_that_of_not_listening(self):
        of = reports()
        _, parsed = shown(of)
        said = " ".join(parsed.text.split())
        own, nothing = of.metrics["network"], of.metrics["majority"]
        ends = f"between {round(own['accuracy_low'] * 100)} and {round(own['accuracy_high'] * 100)}"
        assert f"the network names the right genre for {round(own['accuracy'] * 100)} ({ends}" in said
        assert f"one would be right for {round(nothing['accuracy'] * 100)}" in said

    def test_where_nothing_is_shown_it_says_so(self):
        _, parsed = shown(reports(right=0.3))
        assert "It is not shown that the network hears anything" in " ".join(parsed.text.split())

    def test_a_difference_within_chance_is_not_decided(self):
        _, parsed = shown(reports())
        said = " ".join(parsed.text.split())
        assert "Whether it is better than the forest is not decided" in said
        assert "Which of the models is best is not decided" in said

    def test_a_mistake_says_what_was_said_what_it_is_and_what_moved_the_network(self):
        text, parsed = shown(reports(), [mistake()])
        said = " ".join(parsed.text.split())
        assert "Heard as rock with 90 % certainty; it is labelled folk, to which it gave 5 %. The forest said" in said
        assert "most for rock at 3.1 kHz to 6.0 kHz, most for folk at 200 Hz to 800 Hz" in said
        assert "most for rock at 0:10, most for folk at 0:06" in said
        assert "<audio" not in text

    def test_stages_that_did_not_run_leave_their_section_out(self):
        text, _ = shown(reports())
        for section in ("listeners", "mistakes", "heard", "features", "labels"):
            assert f'id="{section}"' not in text

    def test_tags_stand_beside_their_ceiling_and_liking_comes_first(self):
        columns = {"songs": 40, "r": 0.5, "r_low": 0.2, "r_high": 0.7, "ceiling": 0.8}
        columns |= {"of_ceiling": 0.625, "of_ceiling_low": 0.25, "of_ceiling_high": 0.875}
        columns |= dict.fromkeys(("interval_coverage", "interval_coverage_low", "interval_coverage_high"), 0.9)
        names = ("word---calm", "appeal---like")
        tags = pd.DataFrame([{"model": kind, "tag": tag, **columns} for tag in names for kind in ("network", "forest")])
        _, parsed = shown(reports(tags=tags))
        said = " ".join(parsed.text.split())
        assert said.index("like it appeal") < said.index("calm word")
        assert "62 % 25 % to 88 %" in said
        assert "made up by a program" in said  # of the songbook's listeners, which params.yaml has in use

    def test_of_importance_there_is_a_field_for_each_family_and_genre(self):
        rows = [(genre, family) for genre in (*LABELS, "all") for family in ("mfcc", "chroma")]
        families = pd.DataFrame(rows, columns=["class", "family"]).assign(importance=0.25, low=0.1, high=0.4)
        single = families.assign(feature=families["family"] + "_1")
        choice = {
            "all": {"accuracy": 0.6, "accuracy_low": 0.5, "accuracy_high": 0.7, "features": 133},
            "selected": {"accuracy": 0.61, "accuracy_low": 0.5, "accuracy_high": 0.7, "features": 29},
        }
        text, parsed = shown(reports(families=families, importance=single, selection=choice))
        assert text.count("--share:1.000") >= 8
        assert {"mfcc_1", "133", "29"} <= set(parsed.text.split())

    def test_the_matrix_has_a_field_for_each_genre_and_descriptor_and_marks_those_that_are_sure(self):
        names = ["chroma_flux_mean", "onset_rate_hz", *(f"mfcc_{n}_std" for n in range(20)), "tempo_bpm"]
        names += [f"contrast_{n}_mean" for n in range(8)]
        rows = pd.DataFrame(
            [(genre, name) for genre in (*LABELS, "all") for name in names], columns=["class", "feature"]
        )
        rows["family"] = rows["feature"].str.split("_").str[0]
        rows["importance"] = [0.4 if name == "tempo_bpm" else 0.01 for name in rows["feature"]]
        rows["low"] = [
            0.1 if (genre, name) == ("rock", "tempo_bpm") else -0.1
            for genre, name in rows[["class", "feature"]].to_numpy()
        ]
        rows["high"] = 0.5
        families = rows.drop(columns="feature").drop_duplicates(["class", "family"])
        text, parsed = shown(reports(families=families, importance=rows))
        matrix = text[text.index('class="wide heat matrix"') :]
        matrix = matrix[: matrix.index("</table>")]
        assert matrix.count("<td") == 30 * 4 + 4 and matrix.count(">●</td>") == 1
        assert len(re.findall(r'title="tempo: 0.400"', matrix)) == 4
        said = " ".join(parsed.text.split())
        assert "one other 0.01 0.01 0.01 0.01" in said
        assert "change of harmony, on average" in said and "attacks a second" in said
        assert "tones against noise above 6.4 kHz, on average" in said

    def test_what_the_network_hears_stands_beside_the_test_of_it(self):
        text, parsed = shown(reports(attribution=attribution(rock=False)))
        said = " ".join(parsed.text.split())
        assert "by +11 points of a hundred (+5 to +17)" in said
        assert "borne out for 1 of 2 genres by themselves" in said
        assert "folk borne out 4 songs of 3 artists" in said and "rock not shown" in said
        section = text[text.index('id="heard"') :]
        section = section[: section.index("</section>")]
        assert section.count("<svg") == 4 and section.count("doubtful") == 1
        assert "Most speaks for folk around 300 Hz." in section
        assert "Most speaks for folk about 95% into the song." in section
        assert section.count('class="for"') == section.count('class="against"') == 10  # bars up and bars down

    def test_pictures_that_fail_the_test_are_not_to_be_relied_on(self):
        failed = attribution() | {"passes": False, "gain_low": -0.02}
        _, parsed = shown(reports(attribution=failed))
        assert "do not rely on these pictures" in " ".join(parsed.text.split())

    def test_moments_that_were_not_listened_to_are_told_from_those_that_say_nothing(self):
        heard = dataclasses.replace(mistake().why, heard=np.array([1.0, 0.0, 0.4]))
        for why, dotted in ((mistake().why, 0), (heard, 1)):
            text, _ = shown(reports(), [mistake(why=why)])
            assert text.count("zero dotted") == dotted
            assert ("Dotted: not listened to." in text) == bool(dotted)

    def test_how_many_familiar_songs_are_called_unlike_is_said_as_the_calibration_has_it(self):
        of = reports()
        metrics = of.metrics | {"network": of.metrics["network"] | {"unlike": 0.05, "unlike_nominal": 1 / 41}}
        _, parsed = shown(dataclasses.replace(of, metrics=metrics))
        said = " ".join(parsed.text.split())
        assert "calls 5 % of them unlike anything it was trained on" in said
        assert "of songs like those of the training it should be at most 2 %." in said

    def test_labels_that_look_wrong_come_with_how_to_correct_them(self):
        row = {
            "track_id": "x.wav",
            "title": "",
            "given": "folk",
            "suggested": "rock",
            "p_suggested": 0.8,
            "side": "test",
        }
        _, parsed = shown(reports(label_review=pd.DataFrame([row])))
        said = " ".join(parsed.text.split())
        assert "earmark catalogue correct TRACK GENRE" in said
        assert "x.wav folk rock 80 % test" in said


# What songs are, from above; what they are heard as, from the left. Nothing that is turned over looks the same.
COUNTS = {
    "network": np.array([[7, 3, 0], [1, 12, 2], [4, 0, 5]]),
    "forest": np.array([[2, 8, 0], [6, 9, 0], [1, 8, 0]]),  # which says rock of no song
}


class TestConfusion:
    @pytest.fixture
    def parts(self):
        """Every matrix of the page, the leader's first."""
        rows = [
            (kind, LABELS[actual], LABELS[predicted])
            for kind, counts in COUNTS.items()
            for (actual, predicted), count in np.ndenumerate(counts)
            for _ in range(count)
        ]
        # As songs come: in no order.
        table = pd.DataFrame(rows, columns=["model", "actual", "predicted"]).sample(frac=1, random_state=0)
        found = section(reports(confusion=table), "genres")
        return found, [each for each in found.iter("table") if "heard as →" in words_of(each)]

    def test_every_field_holds_how_many_songs_of_its_row_were_heard_as_its_column(self, parts):
        _, tables = parts
        assert [words_of(table.find("caption")).split(":")[0] for table in tables] == ["The network", "The forest"]
        for table, counts in zip(tables, COUNTS.values(), strict=True):
            assert words_of(table.find("thead/tr/th")) == "is ↓ heard as →"
            heard_as = [words_of(name) for name in table.findall("thead/tr/th")[1:]]
            found = {
                (words_of(row.find("th")), name): int(cell.text)
                for row in table.findall("tbody/tr")
                for name, cell in zip(heard_as, row.findall("td"), strict=True)
            }
            assert found == {
                (LABELS[actual], LABELS[predicted]): count for (actual, predicted), count in np.ndenumerate(counts)
            }

    def test_fields_are_as_dark_as_the_share_of_the_songs_of_their_row(self, parts):
        for table, counts in zip(parts[1], COUNTS.values(), strict=True):
            for row, own in zip(table.findall("tbody/tr"), counts, strict=True):
                dark = [float(cell.get("style").removeprefix("--share:")) for cell in row.findall("td")]
                assert dark == pytest.approx(own / own.sum(), abs=0.0006)

    def test_right_answers_are_framed_and_empty_fields_are_marked(self, parts):
        for table, counts in zip(parts[1], COUNTS.values(), strict=True):
            looks = [[cell.get("class").split() for cell in row.findall("td")] for row in table.findall("tbody/tr")]
            assert [["own" in look for look in row] for row in looks] == np.eye(3, dtype=bool).tolist()
            assert [["nothing" in look for look in row] for row in looks] == (counts == 0).tolist()

    def test_the_commonest_mistakes_of_the_leader_are_named_the_right_way_round(self, parts):
        assert (
            "most often takes rock for folk (4 of 9), folk for jazz & blues (3 of 10), jazz & blues for rock (2 of"
            in (words_of(parts[0]))
        )


class TestReliability:
    @pytest.fixture
    def told(self):
        """What was given, and the picture of each kind."""
        of = reports()
        (pictures,) = with_class(section(of, "sure"), "div", "pictures")
        return of.reliability, dict(zip(of.kinds, map(Chart, pictures.findall("figure")), strict=True))

    def test_dots_stand_at_how_sure_to_the_right_and_how_often_right_upwards(self, told):
        table, charts = told
        for kind, chart in charts.items():
            assert chart.said.startswith(f"The {kind} ")
            assert chart.names == ["how sure it is →", "↑ share right"]
            given = table[table["model"] == kind][["confidence", "accuracy"]].to_numpy()
            assert np.abs(given[:, 0] - given[:, 1]).max() > 0.1  # or one could not tell the one from the other
            dots = with_class(chart.svg, "circle", "dot")
            found = chart.shares(np.array([(dot.get("cx"), dot.get("cy")) for dot in dots], dtype=float))
            np.testing.assert_allclose(found, given, atol=HALF_A_PIXEL)
            assert all(kind in dot.get("class").split() for dot in dots)

    def test_dots_say_of_how_many_songs_they_are(self, told):
        table, charts = told
        for kind, chart in charts.items():
            rows = table[table["model"] == kind].to_dict("records")
            assert [dot.find("title").text for dot in with_class(chart.svg, "circle", "dot")] == [
                f"{row['count']:.0f} songs: {row['confidence']:.0%} sure, {row['accuracy']:.0%} right" for row in rows
            ]

    def test_whiskers_reach_from_the_low_to_the_high_end(self, told):
        table, charts = told
        for kind, chart in charts.items():
            rows = table[table["model"] == kind]
            found = [chart.shares(corners(line)) for line in with_class(chart.svg, "polyline", "whisker")]
            given = [[(row.confidence, row.low), (row.confidence, row.high)] for row in rows.itertuples()]
            np.testing.assert_allclose(found, given, atol=HALF_A_PIXEL)

    def test_the_line_of_those_that_are_as_sure_as_right_goes_from_corner_to_corner(self, told):
        for chart in told[1].values():
            np.testing.assert_allclose(chart.line("ideal"), [(0, 0), (1, 1)], atol=HALF_A_PIXEL)


class TestRiskCoverage:
    @pytest.fixture
    def told(self):
        of = reports()
        (figure,) = with_class(section(of, "sure"), "figure", "one")
        return of, Chart(figure)

    def test_curves_show_how_often_right_upwards_by_how_many_are_answered_to_the_right(self, told):
        of, chart = told
        assert chart.names == ["share of songs answered →", "↑ share right"]
        table = of.risk_coverage
        for kind in of.kinds:
            given = table[table["model"] == kind][["coverage", "accuracy"]].to_numpy()
            assert len(given) > 20 and np.ptp(given[:, 1]) > 0.05
            np.testing.assert_allclose(chart.line(kind), given, atol=HALF_A_PIXEL)

    def test_with_all_songs_answered_it_is_the_accuracy_and_in_words_too(self, told):
        of, chart = told
        for kind in of.kinds:
            accuracy = of.metrics[kind]["accuracy"]
            np.testing.assert_allclose(chart.line(kind)[-1], (1.0, accuracy), atol=HALF_A_PIXEL)
            assert f"the {kind} ends at {accuracy:.0%}" in chart.svg.get("aria-label")

    def test_the_mean_share_wrong_along_the_way_is_that_of_each_kind(self, told):
        of, chart = told
        of_kinds = [f"the {kind} {of.metrics[kind]['area_under_risk_coverage']:.2f}" for kind in of.kinds]
        nothing = f"without listening {of.metrics['majority']['area_under_risk_coverage']:.2f}."
        assert chart.said.endswith(f"along the way: {', '.join(of_kinds)}; {nothing}")


class TestSplit:
    FLATTERS = "a careless split would flatter, and the scores on this page do not"
    FLATTERS_NOT = "here a careless split would not flatter"
    OPEN = "on this collection it is not shown that a careless split would flatter"

    @staticmethod
    def said(leakage: dict[str, float]) -> str:
        of = reports()
        return words_of(section(dataclasses.replace(of, metrics=of.metrics | {"leakage": leakage}), "split"))

    @staticmethod
    def found(gain: float, low: float, high: float) -> dict[str, float]:
        """As the stage `evaluate` writes it; no two numbers are the same."""
        return {
            **{"honest_accuracy": 0.61, "honest_accuracy_low": 0.52, "honest_accuracy_high": 0.69},
            **{"random_accuracy": 0.83, "random_accuracy_low": 0.77, "random_accuracy_high": 0.88},
            **{"random_minus_honest": gain, "random_minus_honest_low": low, "random_minus_honest_high": high},
            **{"tracks": 240, "folds": 5},
        }

    def test_each_split_stands_beside_its_interval_and_the_difference_beside_its_own(self):
        said = self.said(self.found(0.22, 0.13, 0.31))
        assert "on artists it had not heard, is right for 61 of 100 songs (between 52 and 69);" in said
        assert "with songs shuffled at random, for 83 (between 77 and 88)." in said
        assert "The difference is +22 points (+13 to +31)" in said

    @pytest.mark.parametrize(
        ("gain", "low", "high", "verdict", "numbers"),
        [
            (0.22, 0.13, 0.31, FLATTERS, "+22 points (+13 to +31)"),
            (0.06, -0.04, 0.15, OPEN, "+6 points (−4 to +15)"),
            (0.06, 0.0, 0.15, OPEN, "+6 points (±0 to +15)"),
            (-0.12, -0.21, -0.03, FLATTERS_NOT, "−12 points (−21 to −3)"),
        ],
    )
    def test_only_a_difference_beyond_chance_is_claimed(self, gain, low, high, verdict, numbers):
        said = self.said(self.found(gain, low, high))
        assert f"The difference is {numbers}: {verdict}." in said
        assert [each for each in (self.FLATTERS, self.OPEN, self.FLATTERS_NOT) if each in said] == [verdict]
        assert "cannot be measured" not in said

    def test_where_nothing_was_measured_nothing_is_claimed(self):
        said = self.said({})
        assert "By how much a careless split would flatter cannot be measured here" in said
        assert not any(each in said for each in (self.FLATTERS, self.OPEN, self.FLATTERS_NOT))
        assert not re.search(r"\d|is measured", said)


class TestDifferences:
    def test_they_are_those_of_the_leader_whichever_way_round_they_were_written_down(self):
        of = reports()
        held = {"network": {"accuracy": 0.5, "log_loss": 1.2}, "forest": {"accuracy": 0.7, "log_loss": 1.0}}
        led = dataclasses.replace(of, metrics=of.metrics | {"held_out": held})
        written = of.metrics["differences"]["network - forest"]
        (pair,) = [each for each in scores_of(led)["pairs"] if each["theirs"] == "network"]
        assert pair["test"]["accuracy"] == -written["accuracy"]
        assert (pair["test"]["accuracy_low"], pair["test"]["accuracy_high"]) == (
            -written["accuracy_high"],
            -written["accuracy_low"],
        )
        assert pair["test_verdict"] == "worse"
        assert written["accuracy_low"] > 0


class TestLeader:
    def test_it_is_chosen_by_held_out_songs_and_not_by_the_test(self):
        of = reports()
        held = {"network": {"accuracy": 0.6, "log_loss": 1.0}, "forest": {"accuracy": 0.6, "log_loss": 0.8}}
        assert of.metrics["network"]["accuracy"] > of.metrics["forest"]["accuracy"]
        assert dataclasses.replace(of, metrics=of.metrics | {"held_out": held}).leader == "forest"

    def test_log_loss_counts_and_not_who_was_right_once_more(self):
        held = {"network": {"accuracy": 0.71, "log_loss": 1.0}, "forest": {"accuracy": 0.7, "log_loss": 0.9}}
        of = reports()
        assert dataclasses.replace(of, metrics=of.metrics | {"held_out": held}).leader == "forest"

    def test_without_held_out_songs_it_is_the_first(self):
        of = reports()
        assert dataclasses.replace(of, metrics=of.metrics | {"held_out": {}}).leader == "network"
