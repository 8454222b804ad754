"""ListenBrainz's dumps, exports and answers, laid out as its server writes them."""

import json
from collections import Counter
from typing import Any

import pytest

from earmark.errors import FeedbackError
from earmark.feedback.event import Event, Song, named_key
from earmark.feedback.sources import listenbrainz
from earmark.feedback.sources.listenbrainz import ListenBrainzFeedback, ListenBrainzListens
from earmark.feedback.store import Store
from exports_made import events, items, json_lines, lay_out, refused, us, zipped
from feedback_tools import importer

MBID = "98255a8c-017a-4bc7-8dd6-1fa36124572b"
SENT = "11111111-017a-4bc7-8dd6-1fa36124572b"
MSID = "d23f4719-9212-49f0-ad08-ddbfbfc50d6f"
NAMES = named_key("Never Gonna Give You Up", "Rick Astley")
AT, AT_US = 1_443_521_965, us("2015-09-29 10:19:25 +0000")


def listen(info: Any = None, mapping: Any = None, **other: Any) -> dict[str, Any]:
    """A listen as a public dump has it; ``info`` is its additional_info."""
    data = {
        "artist_name": "Rick Astley",
        "track_name": "Never Gonna Give You Up",
        "release_name": "Whenever you need somebody",
        "additional_info": info,
        **({"mbid_mapping": mapping} if mapping is not None else {}),
    }
    return {
        "listened_at": AT,
        "user_id": 7,
        "user_name": "rob",
        "recording_msid": MSID,
        "track_metadata": data,
        **other,
    }


def unnumbered(info: Any = None, mapping: Any = None) -> dict[str, Any]:
    """A listen without a recording_msid."""
    return listen(info, mapping, recording_msid=None)


def mapped(mbid: Any = MBID) -> dict[str, Any]:
    """What ListenBrainz found out about the names, with the nested lists that it has."""
    artists = [{"artist_credit_name": name, "join_phrase": "}, {", "artist_mbid": SENT} for name in ("Rick", "Astley")]
    return {"recording_name": "Never Gonna …", "recording_mbid": mbid, "artist_mbids": [SENT], "artists": artists}


@pytest.fixture
def listens(tmp_path):
    """``listens(row, row, …)``: a dump with these listens in one file."""
    return lambda *rows: ListenBrainzListens(lay_out(tmp_path, {"listens/2015/9.listens": json_lines(*rows)}))


def only(source) -> Event:
    (event,) = events(source)
    return event


class TestAListen:
    def test_is_a_play_of_its_user_from_when_it_began_and_how_it_ended_is_not_known(self, listens):
        event = only(listens(listen({"isrc": "GBARL9300135", "duration_ms": 222_000}, mapped())))
        assert event == Event("9.listens:1", event.song, "play", "rob", AT_US)
        assert event.song == Song(
            "listenbrainz", MSID, "Never Gonna Give You Up", "Rick Astley", "Whenever you need somebody",
            isrc="GBARL9300135", duration_s=222.0,
        )  # fmt: skip

    @pytest.mark.parametrize("written", [AT, float(AT), str(AT), f"{AT}.0", "2015-09-29T10:19:25+00:00"])
    def test_may_write_its_time_as_a_number_or_a_text(self, listens, written):
        assert only(listens(listen(listened_at=written))).at_us == AT_US

    @pytest.mark.parametrize("written", [0, -1, "0", None, "then", True, [AT], 10**30])
    def test_without_a_time_is_refused(self, listens, written):
        said = refused(listens(listen(listened_at=written)))
        assert said == {"9.listens:1": "no time: listened_at is missing, zero or no time"}

    @pytest.mark.parametrize(
        "row", [listen() | {"track_metadata": None}, listen() | {"track_metadata": {"artist_name": "A"}},
                listen() | {"track_metadata": {"track_name": " ", "artist_name": "A"}}, {"listened_at": AT}],
    )  # fmt: skip
    def test_without_a_title_is_refused(self, listens, row):
        assert refused(listens(row)) == {"9.listens:1": "no song: it has no title"}

    @pytest.mark.parametrize("info", [None, {}, [], "x", {"isrc": None, "duration_ms": "?", "tags": None}])
    def test_may_have_nothing_to_add(self, listens, info):
        event = only(listens(listen(info)))
        assert (event.song.isrc, event.song.duration_s, event.ms_played) == (None, None, None)

    @pytest.mark.parametrize(
        ("info", "ms_played", "ended"),
        [
            ({"duration_played": 150, "duration_ms": 222_000}, 150_000, None),
            ({"duration_played": "222", "duration_ms": 222_000}, 222_000, "complete"),
            ({"duration_played": 221.5, "duration": 222}, 221_500, "complete"),
            ({"ms_played": 222_000, "duration_ms": 222_000}, 222_000, "complete"),
            ({"ms_played": 222_000}, 222_000, None),
            ({"ms_played": "long", "duration_ms": 222_000}, None, None),
        ],
    )
    def test_is_complete_where_it_was_played_for_its_length(self, listens, info, ms_played, ended):
        event = only(listens(listen(info)))
        assert (event.ms_played, event.ended) == (ms_played, ended)


class TestTheSongOfAListen:
    @pytest.mark.parametrize(
        ("row", "key"),
        [
            (listen({"recording_mbid": SENT}, mapped()), MSID),
            (listen({"recording_mbid": SENT}), MSID),
            (listen(recording_msid=MSID.upper()), MSID),
            (listen({"recording_msid": MSID}, recording_msid=None), MSID),
            (unnumbered({"recording_mbid": SENT}, mapped()), MBID),
            (unnumbered({"recording_mbid": SENT}, mapped(None)), SENT),
            (unnumbered({"recording_mbid": SENT.upper()}), SENT),
            (unnumbered() | {"mbid_mapping": mapped()}, MBID),
            (listen({}, mapped(), recording_msid="\0" + MSID[1:]), MBID),
            (listen({}, mapped(), recording_msid=[MSID]), MBID),
            (unnumbered({"recording_mbid": "\0" + MBID[1:]}, mapped(MBID[:-1] + "\n")), NAMES),
            (unnumbered({"recording_mbid": [SENT]}, {}), NAMES),
            (unnumbered({}, "null"), NAMES),
            (unnumbered(), NAMES),
        ],
    )
    def test_goes_by_the_id_of_the_names_else_the_mapped_one_else_the_one_sent_else_the_names(self, listens, row, key):
        assert only(listens(row)).song.key == key

    def test_stays_the_same_when_it_is_mapped_later_so_that_an_overlapping_export_adds_nothing(self, tmp_path):
        exports = {"first": [listen()], "later": [listen({}, mapped())]}
        sources = [
            ListenBrainzListens(lay_out(tmp_path / name, {"1.listens": json_lines(*rows)}))
            for name, rows in exports.items()
        ]
        with Store(f"sqlite:///{tmp_path}/feedback.db") as store:
            new = [importer(store).run(source, tmp_path / "refused.csv").new for source in sources]
        assert new == [1, 0]

    def test_is_one_object_for_all_its_listens(self, listens):
        first, second = events(
            listens(listen({}, mapped()), listen({"isrc": "GBARL9300135"}, mapped(), user_name="eve"))
        )
        assert first.song is second.song

    def test_that_are_many_do_not_fill_the_memory(self, listens, monkeypatch):
        monkeypatch.setattr(listenbrainz, "_REMEMBERED", 3)
        ids = [f"{number % 7:08d}{MBID[8:]}" for number in range(50)]
        assert [event.song.key for event in events(listens(*(listen(recording_msid=one) for one in ids)))] == ids


class TestTheTagsOfAListen:
    def test_are_events_of_the_same_listener_each_once(self, listens):
        play, *tags = events(listens(listen({"tags": ["punk", "see-live", "punk", "", None, 1989]})))
        assert [tag.word for tag in tags] == ["punk", "see-live", "1989"]
        assert {tag[:5] for tag in tags} == {(play.where, play.song, "tag", "rob", AT_US)}

    def test_are_twenty_at_most_and_none_is_too_long(self, listens):
        _, *tags = events(listens(listen({"tags": ["x" * 65, *map(str, range(50))]})))
        assert [tag.word for tag in tags] == [str(number) for number in range(20)]

    def test_may_be_a_single_text(self, listens):
        assert [event.word for event in events(listens(listen({"tags": "punk"})))] == [None, "punk"]


class TestTheListener:
    def test_of_an_export_is_in_its_user_file(self, tmp_path):
        rows = listen(), listen(user_name="")
        own = [{name: value for name, value in row.items() if not name.startswith("user")} for row in rows]
        files = {"user.json": {"user_id": 7, "username": "rob"}, "listens/2015/9.jsonl": json_lines(*own)}
        for source in (
            ListenBrainzListens(lay_out(tmp_path / "folder", files)),
            ListenBrainzListens(zipped(tmp_path / "listenbrainz_rob_1.zip", files)),
        ):
            assert {event.listener for event in events(source)} == {"rob"}

    def test_of_each_of_several_exports_is_its_own(self, tmp_path):
        for name in ("rob", "eve"):
            row = {name: value for name, value in listen().items() if not name.startswith("user")}
            zipped(tmp_path / f"{name}.zip", {"user.json": {"username": name}, "listens/2015/9.jsonl": json_lines(row)})
        assert [event.listener for event in events(ListenBrainzListens(tmp_path))] == ["eve", "rob"]

    def test_may_be_a_number_or_under_user_id(self, listens):
        rows = listen(user_name=None), listen(user_name=None, user_id="rob")
        assert [event.listener for event in events(listens(*rows))] == ["7", "rob"]

    def test_is_left_to_the_user_where_nothing_says_it(self, listens):
        assert only(listens(listen(user_name=None, user_id=None))).listener is None
        assert not ListenBrainzListens.tells_listener

    def test_is_named_in_no_refusal(self, listens):
        said = refused(listens(listen(listened_at=0), listen(track_metadata={}), {"user_name": "rob"}))
        assert len(said) == 3 and "rob" not in str(said)


class TestTheFiles:
    ROWS = (listen(), listen(listened_at=0), listen({"tags": ["a", "b"]}), listen(track_metadata={}))

    def test_of_a_dump_are_read_by_year_and_month(self, tmp_path):
        names = ["listens/2015/10.listens", "listens/2015/9.listens", "listens/2014/12.listens"]
        lay_out(tmp_path, {**dict.fromkeys(names, json_lines(*self.ROWS)), "TIMESTAMP": "2015", "COPYING": "CC0"})
        source = ListenBrainzListens(tmp_path)
        assert [part.name for part in source.files()] == sorted(names, key=lambda name: (name[8:12], len(name), name))
        assert Counter(type(item).__name__ for item in items(source)) == {"Event": 3, "tuple": 3, "Refused": 6}

    def test_of_an_export_leave_out_what_is_no_listen(self, tmp_path):
        archive = zipped(tmp_path / "export.zip", {
            "user.json": {"username": "rob"}, "listens/2015/9.jsonl": json_lines(*self.ROWS),
            "feedback.jsonl": json_lines({"score": 1}), "pinned_recording.jsonl": json_lines({"blurb_content": "x"}),
        })  # fmt: skip
        assert [part.label for part in ListenBrainzListens(archive).files()] == ["9.jsonl"]
        assert len(items(ListenBrainzListens(archive))) == len(self.ROWS)

    @pytest.mark.parametrize("how", [{}, {"indent": 1}])
    def test_may_be_one_array_whatever_it_is_called(self, tmp_path, how):
        rows = [listen({}, mapped()), *self.ROWS]
        lay_out(tmp_path, {"mine.txt": "\ufeff" + json.dumps(rows, **how)})
        source = ListenBrainzListens(tmp_path / "mine.txt")
        assert len(items(source)) == len(rows) and list(refused(source)) == ["mine.txt:[2]", "mine.txt:[4]"]

    def test_with_a_line_that_is_no_json_lose_that_line_alone(self, tmp_path):
        text = json_lines(listen()) + '{"listened_at": \n' + json_lines(listen())
        source = ListenBrainzListens(lay_out(tmp_path, {"1.listens": text}))
        assert len(events(source)) == 2 and list(refused(source)) == ["1.listens:2"]

    def test_that_are_packed_say_to_unpack_them(self, tmp_path):
        lay_out(tmp_path, {"listenbrainz-listens-dump.tar.zst": b"\x28\xb5\x2f\xfd"})
        with pytest.raises(FeedbackError, match=r"holds no listens .*Unpack it"):
            ListenBrainzListens(tmp_path).files()


def feedback(score: Any, **other: Any) -> dict[str, Any]:
    """A word as a user's export has it."""
    return {"recording_msid": MSID, "recording_mbid": MBID, "score": score, "created": AT, **other}


@pytest.fixture
def said(tmp_path):
    """``said(row, row, …)``: an export with this feedback."""
    files = {"user.json": {"user_id": 7, "username": "rob"}}
    return lambda *rows: ListenBrainzFeedback(lay_out(tmp_path, {**files, "feedback.jsonl": json_lines(*rows)}))


class TestFeedback:
    @pytest.mark.parametrize(
        ("score", "like", "dislike"), [(1, 1.0, 0.0), (-1, 0.0, 1.0), (0, None, None), ("1", 1.0, 0.0), (1.0, 1.0, 0.0)]
    )
    def test_is_one_scale_told_as_like_and_dislike(self, said, score, like, dislike):
        first, second = events(said(feedback(score)))
        assert (first.kind, first.value, second.kind, second.value) == ("like", like, "dislike", dislike)
        assert {event.listener for event in (first, second)} == {"rob"}
        assert {event.at_us for event in (first, second)} == {AT_US}

    @pytest.mark.parametrize("score", [2, None, "love", True, 0.5])
    def test_of_another_score_is_refused(self, said, score):
        assert refused(said(feedback(score))) == {"feedback.jsonl:1": "score: it is neither 1, 0 nor -1"}

    @pytest.mark.parametrize(
        "row", [{"score": 1, "recording_mbid": MBID}, feedback(1, created=None), feedback(1, created=0)]
    )
    def test_may_be_undated(self, said, row):
        assert {event.at_us for event in events(said(row))} == {None}

    def test_whose_time_is_none_is_refused(self, said):
        assert refused(said(feedback(1, created="then"))) == {"feedback.jsonl:1": "no time: created is no time"}

    def test_is_about_the_same_song_as_the_listens_to_it(self, tmp_path, said):
        heard = lay_out(tmp_path / "heard", {"1.listens": json_lines(listen({}, mapped()), listen())})
        of_listens = [event.song.key for event in events(ListenBrainzListens(heard))]
        of_feedback = [event.song.key for event in events(said(feedback(1), feedback(1, recording_mbid=None)))[::2]]
        assert of_feedback == of_listens == [MSID, MSID]

    def test_by_a_musicbrainz_id_alone_is_about_the_song_of_the_listens_that_were_mapped_to_it(self, said, tmp_path):
        lay_out(tmp_path, {"listens/2015/9.jsonl": json_lines(listen({}, mapped(SENT)), listen({}, mapped()))})
        rows = {"score": 1, "recording_mbid": MBID.upper()}, {"score": 1, "recording_mbid": MSID}
        found, nobodys = (event.song for event in events(said(*rows))[::2])
        assert (found.key, found.title) == (MSID, "Never Gonna Give You Up")
        assert nobodys == Song("listenbrainz", MSID)

    def test_may_bring_names_and_may_have_an_id_alone(self, said):
        names = {"track_name": "Never Gonna Give You Up", "artist_name": "Rick Astley"}
        bare, named, nameless = events(said(
            feedback(1, track_metadata=None), feedback(1, track_metadata=names),
            {"score": 1, "track_metadata": names},
        ))[::2]  # fmt: skip
        assert (bare.song.title, named.song.title) == (None, "Never Gonna Give You Up")
        assert nameless.song.key == named_key("Never Gonna Give You Up", "Rick Astley")
        assert ListenBrainzFeedback.names_later

    def test_about_nothing_is_refused(self, said):
        assert refused(said({"score": 1}, {"score": 1, "recording_mbid": "?"})) == dict.fromkeys(
            ["feedback.jsonl:1", "feedback.jsonl:2"], "no song: it has neither an id nor a title"
        )

    def test_of_the_public_dump_and_of_the_api_is_read_too(self, tmp_path):
        dumped = {"user_name": "rob", "recording_msid": MSID, "feedback": -1, "created": "2015-09-29T10:19:25+00:00"}
        answered = feedback(1, user_id="eve", track_metadata=None)
        lay_out(tmp_path, {"data.json": json_lines(dumped), "mine.json": [answered]})
        hated = events(ListenBrainzFeedback(tmp_path / "data.json"))
        assert [(event.listener, event.value, event.at_us) for event in hated] == [
            ("rob", 0.0, AT_US), ("rob", 1.0, AT_US),
        ]  # fmt: skip
        assert {event.listener for event in events(ListenBrainzFeedback(tmp_path / "mine.json"))} == {"eve"}

    def test_every_row_is_taken_or_refused_once(self, said):
        source = said(feedback(1), feedback(2), feedback(0), feedback(-1, created="then"))
        assert Counter(type(item).__name__ for item in items(source)) == {"tuple": 2, "Refused": 2}

    def test_that_is_missing_says_what_was_found(self, tmp_path):
        with pytest.raises(FeedbackError, match=r"holds no feedback\.jsonl\. Found: user\.json"):
            ListenBrainzFeedback(lay_out(tmp_path, {"user.json": {}})).files()
