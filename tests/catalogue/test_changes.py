"""What came, went and changed: compared with dictionaries that know every row."""

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.catalogue.changes import Changes, compare
from earmark.catalogue.track import SCHEMA
from earmark.errors import CatalogueError


def row(track_id: str, **fields) -> dict:
    plain = {
        "path": f"audio/{track_id}",
        "content_hash": f"hash of {track_id}",
        "duration_s": 3.5,
        "sample_rate_hz": 44_100,
        "channels": 2,
        "codec": "mp3",
        "source": "folder",
        "group": "artist:a",
        "tags": [],
    }
    return dict.fromkeys(SCHEMA.names) | {"track_id": track_id} | plain | fields


def table(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def ids(part: pa.Table) -> list[str]:
    return part["track_id"].to_pylist()


def edits(changes: Changes, *, moved: bool = False) -> dict[str, dict]:
    return {edit.track_id: edit.fields for edit in changes.edits(moved=moved)}


class TestComparing:
    def test_nothing_changed_is_no_change(self):
        same = table(row("a", tags=["x"], loudness_lufs=-14.0), row("b", loudness_lufs=math.nan))
        changes = compare(same, same)
        assert not changes
        assert (len(changes.came), len(changes.went), len(changes.after), changes.differs) == (0, 0, 0, {})

    def test_what_came_and_what_went(self):
        changes = compare(table(row("a"), row("b")), table(row("b"), row("c"), row("d")))
        assert (ids(changes.came), ids(changes.went), changes.changed, changes.moved) == (["c", "d"], ["a"], 0, 0)

    def test_against_nothing_all_came(self):
        changes = compare(SCHEMA.empty_table(), table(row("a"), row("b")))
        assert (ids(changes.came), len(changes.went)) == (["a", "b"], 0)

    @pytest.mark.parametrize(
        ("field", "old", "new"),
        [
            ("content_hash", "one", "another"),
            ("genre", "rock", "jazz"),
            ("genre", None, "jazz"),
            ("genre", "rock", None),
            ("tags", ["calm", "slow"], ["calm"]),
            ("tags", ["calm", "slow"], ["slow", "calm"]),
            ("split", "train", "test"),
            ("group", "artist:a", "artist:b"),
            ("title", "", None),
            ("duration_s", 3.5, 3.25),
            ("bandwidth_hz", None, 16_000.0),
        ],
    )
    def test_each_field_is_named_with_its_old_and_new_value(self, field, old, new):
        stays = row("stays", tags=["calm"])
        changes = compare(table(row("a", **{field: old}), stays), table(row("a", **{field: new}), stays))
        assert edits(changes) == {"a": {field: (old, new)}}

    def test_tags_of_one_track_do_not_spill_into_the_next(self):
        old = table(row("a", tags=["x", "y"]), row("b", tags=[]), row("c", tags=["z"]))
        new = table(row("a", tags=["x"]), row("b", tags=["y"]), row("c", tags=["z"]))
        assert edits(compare(old, new)) == {"a": {"tags": (["x", "y"], ["x"])}, "b": {"tags": ([], ["y"])}}

    def test_no_tags_and_an_empty_list_of_tags_are_the_same(self):
        assert not compare(table(row("a", tags=None)), table(row("a", tags=[])))

    def test_the_order_of_rows_means_nothing(self):
        rows = [row(name, genre=name) for name in "abcdef"]
        assert not compare(table(*rows), table(*reversed(rows)))

    def test_a_track_id_that_appears_twice_is_an_error_that_names_it(self):
        with pytest.raises(CatalogueError, match=r"'a' appears 2 times"):
            compare(table(row("a")), table(row("a"), row("a"), row("b")))


class TestMoving:
    def test_the_same_content_under_another_name_has_moved(self):
        changes = compare(
            table(row("rock/a", content_hash="x", genre="rock")), table(row("jazz/a", content_hash="x", genre="jazz"))
        )
        assert (len(changes.came), len(changes.went), changes.moved, changes.changed) == (0, 0, 1, 0)
        (edit,) = changes.edits(moved=True)
        assert (edit.was, edit.track_id, edit.fields["genre"]) == ("rock/a", "jazz/a", ("rock", "jazz"))

    def test_a_copy_beside_the_original_came(self):
        changes = compare(
            table(row("a", content_hash="x")), table(row("a", content_hash="x"), row("b", content_hash="x"))
        )
        assert (ids(changes.came), changes.moved) == (["b"], 0)

    def test_several_copies_move_one_by_one_and_what_is_left_came_or_went(self):
        old = table(*(row(name, content_hash="x") for name in ("1/a", "1/b", "1/c")))
        new = table(*(row(name, content_hash="x") for name in ("2/a", "2/b")))
        changes = compare(old, new)
        moves = [(edit.was, edit.track_id) for edit in changes.edits(moved=True)]
        assert (moves, ids(changes.went)) == ([("1/a", "2/a"), ("1/b", "2/b")], ["1/c"])


hashes = st.sampled_from(["p", "q", "r"])
rows = st.builds(
    row,
    st.text("abc/é", min_size=1, max_size=3),
    content_hash=hashes,
    genre=st.sampled_from([None, "rock", "jazz"]),
    tags=st.lists(st.sampled_from(["x", "y", "\x1f", ""]), max_size=2),
    loudness_lufs=st.sampled_from([None, -14.0, -20.5]),
)
catalogues = st.lists(rows, max_size=8, unique_by=lambda each: each["track_id"]).map(lambda each: table(*each))


def by_id(part: pa.Table) -> dict[str, dict]:
    return {each["track_id"]: each for each in part.to_pylist()}


class TestAnyTwoCatalogues:
    @given(catalogues, catalogues)
    @settings(deadline=None, max_examples=200)
    def test_applying_the_change_to_the_old_gives_the_new(self, old, new):
        changes = compare(old, new)
        result = by_id(old)
        for gone in (*ids(changes.went), *ids(changes.before)):
            del result[gone]
        for part in (changes.came, changes.after):
            assert not result.keys() & set(ids(part))
            result |= by_id(part)
        assert result == by_id(new)

    @given(catalogues, catalogues)
    @settings(deadline=None, max_examples=200)
    def test_the_way_back_is_the_mirror_image(self, old, new):
        there, back = compare(old, new), compare(new, old)
        assert by_id(there.came) == by_id(back.went)
        assert by_id(there.went) == by_id(back.came)

        def pairs(old: pa.Table, new: pa.Table) -> set[tuple[str, str]]:
            return set(zip(map(str, old.to_pylist()), map(str, new.to_pylist()), strict=True))

        assert pairs(there.before, there.after) == pairs(back.after, back.before)
        assert {name: where.sum() for name, where in there.differs.items()} == {
            name: where.sum() for name, where in back.differs.items()
        }

    @given(catalogues, catalogues)
    @settings(deadline=None, max_examples=200)
    def test_it_is_what_going_through_all_rows_one_by_one_finds(self, old, new):
        olds, news = by_id(old), by_id(new)
        changes = compare(old, new)
        assert edits(changes) == {
            name: {field: (olds[name][field], news[name][field]) for field in SCHEMA.names
                   if olds[name][field] != news[name][field]}
            for name in olds.keys() & news.keys() if olds[name] != news[name]
        }  # fmt: skip
        moved = {(edit.was, edit.track_id) for edit in changes.edits(moved=True)}
        assert {was for was, _ in moved} | set(ids(changes.went)) == olds.keys() - news.keys()
        assert {now for _, now in moved} | set(ids(changes.came)) == news.keys() - olds.keys()
        assert all(olds[was]["content_hash"] == news[now]["content_hash"] for was, now in moved)
        left = {each["content_hash"] for each in changes.came.to_pylist()}
        assert not left & {each["content_hash"] for each in changes.went.to_pylist()}
