"""Files of exports, wherever they lie: each is found once, and no row of them is lost by what is wrong with another."""

import errno
import json
import os
import random
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from earmark.errors import FeedbackError
from earmark.feedback.sources import reading
from earmark.feedback.sources.reading import (
    Part,
    all_parts,
    find_parts,
    json_array,
    json_lines,
    not_found,
    parts_or_itself,
    text_of,
    whole_json,
)
from earmark.feedback.sources.source import Refused
from exports_made import lay_out, tarred, zipped


def part_of(path: Path) -> Part:
    return Part(path.name, path)


def content_of(part: Part) -> bytes:
    with part.open() as stream:
        return stream.read()


def taken(rows: Any) -> list[Any]:
    return [row for _, row in rows if not isinstance(row, Refused)]


def refusals(rows: Any) -> dict[str, str]:
    return {where: row.reason for where, row in rows if isinstance(row, Refused)}


EXPORT = {"MyData/endsong_10.json": "[]", "MyData/endsong_9.json": "[ ]", "MyData/ReadMe.pdf": "%PDF", "a.csv": "x"}


class TestParts:
    @pytest.fixture(
        params=["a folder", "a zip archive", "a tar archive", "an archive in an archive", "one in a folder"]
    )
    def export(self, request, tmp_path) -> Path:
        made = tmp_path / "made"
        made.mkdir()
        if request.param == "a folder":
            return lay_out(made, EXPORT)
        if request.param == "a tar archive":
            return tarred(made / "export.tar", EXPORT)
        packed = zipped(tmp_path / "inner.zip", EXPORT)
        if request.param == "an archive in an archive":
            return zipped(made / "outer.zip", {"part 1/inner.zip": packed.read_bytes()})
        packed.rename(made / "inner.zip")
        return made if request.param == "one in a folder" else made / "inner.zip"

    def test_are_found_by_name_in_the_order_of_their_numbers_and_open(self, export):
        parts = find_parts(export, "ENDSONG_*.json")
        assert [(part.label, content_of(part)) for part in parts] == [
            ("endsong_9.json", b"[ ]"), ("endsong_10.json", b"[]"),
        ]  # fmt: skip
        assert [part.size for part in parts] == [3, 2]

    def test_are_all_listed_once(self, export):
        assert sorted(part.label for part in all_parts(export)) == sorted(Path(name).name for name in EXPORT)

    def test_leave_out_what_macos_lays_beside_files(self, tmp_path):
        files = {"1.listens": "{}", "._1.listens": "\0", "__MACOSX/._1.listens": "\0", "deep/__MACOSX/2.listens": "\0"}
        assert [part.label for part in all_parts(zipped(tmp_path / "a.zip", files))] == ["1.listens"]
        assert [part.label for part in all_parts(tarred(tmp_path / "a.tar", files))] == ["1.listens"]
        lay_out(tmp_path / "disk", {"1.listens": "{}", "._1.listens": "\0"})
        assert [part.label for part in all_parts(tmp_path / "disk")] == ["1.listens"]

    def test_of_an_archive_made_on_windows_have_a_name_without_their_folders(self, tmp_path):
        archive = zipped(tmp_path / "a.zip", {"listens\\2023\\1.jsonl": "{}"})
        (part,) = find_parts(archive, "1.jsonl")
        assert (part.name, content_of(part)) == ("a.zip/listens/2023/1.jsonl", b"{}")

    def test_of_an_archive_leave_out_what_has_no_name(self, tmp_path):
        archive = zipped(tmp_path / "a.zip", {"nameless": "{}", "1.jsonl": "{}"})
        archive.write_bytes(archive.read_bytes().replace(b"nameless", bytes(8)))
        assert [part.label for part in all_parts(archive)] == ["1.jsonl"]

    def test_a_file_that_the_user_names_may_be_called_anything_but_an_archive_is_looked_into(self, tmp_path):
        lay_out(tmp_path, {"my plays": "{}", "folder/other.txt": "x"})
        assert [part.label for part in parts_or_itself(tmp_path / "my plays", "*.listens")] == ["my plays"]
        assert parts_or_itself(tmp_path / "folder", "*.listens") == []
        assert parts_or_itself(zipped(tmp_path / "a.zip", {"other.txt": "x"}), "*.listens") == []

    def test_have_digits_of_any_kind_in_their_names(self, tmp_path):
        lay_out(tmp_path, {"²1.json": "", "٣.json": "", "10.json": ""})
        assert [part.label for part in find_parts(tmp_path, "*.json")] == ["٣.json", "10.json", "²1.json"]

    def test_of_a_pipe_are_an_error_that_says_so(self):
        read, write = os.pipe()
        try:
            os.write(write, b"[]")
            os.close(write)
            with pytest.raises(FeedbackError, match=r"cannot be read .*not seekable"):
                all_parts(Path(f"/dev/fd/{read}"))
        finally:
            os.close(read)

    def test_at_a_place_where_nothing_is_are_an_error_that_names_it(self, tmp_path):
        with pytest.raises(FeedbackError, match=r"gone cannot be read \(No such file"):
            find_parts(tmp_path / "gone", "*.json")


class TestNotFound:
    def test_says_what_is_there_instead(self, tmp_path):
        lay_out(tmp_path, {f"{number}.txt": "" for number in range(8)})
        said = str(not_found(tmp_path, "endsong_*.json"))
        assert "holds no endsong_*.json" in said and "0.txt, 1.txt" in said and "and 2 more" in said

    def test_says_to_unpack_what_is_packed_in_another_way(self, tmp_path):
        lay_out(tmp_path, {"listens.tar.zst": b"\x28\xb5\x2f\xfd"})
        assert "Unpack it" in str(not_found(tmp_path, "listens"))
        assert "Unpack it" not in str(not_found(lay_out(tmp_path / "empty", {"a": ""}), "listens"))


class TestAFolderThatCannotBeRead:
    @pytest.mark.parametrize("locked", ["", "inside"])
    def test_says_so_and_why(self, tmp_path, monkeypatch, locked):
        """Root reads everything, so the system is asked in the tests' own way."""
        lay_out(tmp_path, {"a.json": "[]", "inside/b.json": "[]"})
        real = os.scandir

        def scandir(folder):
            if Path(folder) == tmp_path / locked:
                raise PermissionError(errno.EACCES, "Permission denied", str(folder))
            return real(folder)

        monkeypatch.setattr(os, "scandir", scandir)
        with pytest.raises(FeedbackError, match=rf"{tmp_path / locked} cannot be read \(Permission denied"):
            find_parts(tmp_path, "*.json")


class TestDamagedArchives:
    def test_that_are_cut_off_say_so(self, tmp_path):
        archive = zipped(tmp_path / "a.zip", {"a.json": "[]" * 500})
        archive.write_bytes(archive.read_bytes()[:-40])
        with pytest.raises(FeedbackError, match="damaged or locked archive"):
            all_parts(archive)

    def test_with_bytes_that_have_changed_say_so_when_they_are_read(self, tmp_path):
        noise = bytes(random.Random(1).choices(range(97, 105), k=20_000))
        archive = zipped(tmp_path / "a.zip", {"a.txt": noise})
        content = bytearray(archive.read_bytes())
        content[2_000:2_200] = b"\xff" * 200
        archive.write_bytes(content)
        (part,) = all_parts(archive)
        with pytest.raises(FeedbackError, match="damaged or locked archive"):
            content_of(part)

    def test_with_a_name_that_is_no_text_say_so(self, tmp_path):
        archive = zipped(tmp_path / "a.zip", {"ü.json": "[]"})
        archive.write_bytes(archive.read_bytes().replace("ü".encode(), b"\xff\xff"))
        with pytest.raises(FeedbackError, match="damaged or locked archive"):
            [content_of(part) for part in all_parts(archive)]

    @pytest.mark.parametrize("inner", ["a.json", "inner.zip"])
    def test_that_are_locked_say_so(self, tmp_path, inner):
        archive = zipped(tmp_path / "a.zip", {inner: "[]"})
        content = bytearray(archive.read_bytes())
        for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the bit that says: encrypted
            content[content.index(signature) + flags] |= 1
        archive.write_bytes(content)
        assert zipfile.ZipFile(archive).infolist()[0].flag_bits & 1
        with pytest.raises(FeedbackError, match="damaged or locked archive"):
            [content_of(part) for part in all_parts(archive)]


TRICKY = [
    {"a": "}, {", "b": [{"c": 1}, {"d": "]"}]},
    {},
    {"a": '"},{"', "b": {"c": {"d": []}}},
    {"a": "\\", "é": "}\n,\n{"},
    {"a": "end"},
]


class TestJsonArrays:
    @pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
    @pytest.mark.parametrize("how", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
    @pytest.mark.parametrize("around", ["{}", "\ufeff{}", " \n{}\n ", "\ufeff \n{}\r\n"])
    def test_give_the_objects_that_json_gives_however_they_are_cut_into_pieces(
        self, write, monkeypatch, chunk, how, around
    ):
        monkeypatch.setattr(reading, "_CHUNK", chunk)
        path = write("a.json", around.replace("{}", json.dumps(TRICKY, **how), 1).encode())
        rows = list(json_array(part_of(path)))
        assert taken(rows) == TRICKY
        assert [where for where, _ in rows] == [f"a.json:[{number}]" for number in range(len(TRICKY))]

    @pytest.mark.parametrize("content", [b"[]", b" [ \n ] ", b"\xef\xbb\xbf[]"])
    def test_may_be_empty(self, write, content):
        assert list(json_array(part_of(write("a.json", content)))) == []

    @pytest.mark.parametrize("place", range(len(TRICKY)))
    @pytest.mark.parametrize("damaged", ['{"id": tru}', '{"id" 3}', '{"a": "x}'])
    def test_lose_no_other_row_by_a_damaged_one(self, write, place, damaged):
        texts = [json.dumps(row) for row in TRICKY]
        texts[place] = damaged
        rows = list(json_array(part_of(write("a.json", f"[{', '.join(texts)}]".encode()))))
        kept = [row for number, row in enumerate(TRICKY) if number != place]
        assert all(row in taken(rows) for row in kept)
        assert all(reason.startswith("it cannot be read as JSON: ") for reason in refusals(rows).values())
        assert refusals(rows)

    @pytest.mark.parametrize("damaged", [b'{"a": NaN}', b'{"a": "Bj\xf6rk"}', b'{"a": 1, "b" 2}'])
    def test_look_at_a_row_that_nothing_mends_no_more_than_twice(self, write, monkeypatch, damaged):
        looks: list[bytes] = []

        def loads(text: bytes) -> Any:
            looks.append(text)
            return orjson.loads(text)

        monkeypatch.setattr(reading, "orjson", SimpleNamespace(loads=loads, JSONDecodeError=orjson.JSONDecodeError))
        rows = list(json_array(part_of(write("a.json", b"[" + b",".join([damaged, b'{"c": 1}'] * 50) + b"]"))))
        assert [row for row in taken(rows) if row] == [{"c": 1}] * 50
        assert len(refusals(rows)) + len(taken(rows)) <= len(looks) <= 2 * len(rows)

    @pytest.mark.parametrize("place", range(len(TRICKY)))
    @pytest.mark.parametrize("stranger", ["null", "5", '"x"', "[1, 2]"])
    def test_refuse_what_is_no_object_alone(self, write, place, stranger):
        texts = [json.dumps(row) for row in TRICKY]
        texts.insert(place, stranger)
        rows = list(json_array(part_of(write("a.json", f"[{', '.join(texts)}]".encode()))))
        assert taken(rows) == TRICKY
        assert refusals(rows) == {f"a.json:[{place}]": "no object"}

    def test_that_are_cut_off_give_what_is_whole_and_say_so(self, write):
        text = json.dumps([{"id": number} for number in range(5)])
        for length in range(1, len(text)):
            cut = text[:length]
            rows = list(json_array(part_of(write("a.json", cut.encode()))))
            assert taken(rows) == [{"id": number} for number in range(cut.count("}"))]
            assert list(refusals(rows).values()) == ["the file is cut off here"]

    @pytest.mark.parametrize("content", [b"", b"{}", b"<html>", b"\xef\xbb\xbf", b"PK"])
    def test_that_are_none_say_so(self, write, content):
        with pytest.raises(FeedbackError, match=r"a\.json does not begin as a JSON array"):
            list(json_array(part_of(write("a.json", content))))

    def test_whose_object_does_not_end_say_so_before_memory_is_full(self, write, monkeypatch):
        monkeypatch.setattr(reading, "_LARGEST_ROW", 10_000)
        monkeypatch.setattr(reading, "_CHUNK", 1_000)
        path = write("a.json", b'[{"id": 1}, {"numbers": [' + b"1, " * 10_000 + b"1]}]")
        with pytest.raises(FeedbackError, match=r"the object \[1\] does not end"):
            list(json_array(part_of(path)))

    def test_larger_than_memory_are_no_problem(self, write):
        row = json.dumps({"ts": "2024-01-01T00:00:00Z", "name": "x" * 200}).encode()
        part = part_of(write("a.json", b"[" + b",".join([row] * 60_000) + b"]"))  # 15 MB
        tracemalloc.start()
        number = sum(1 for _ in json_array(part))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert number == 60_000 and peak < 6_000_000


class TestJsonLines:
    def test_give_an_object_a_line_with_the_line_numbers_of_an_editor(self, write):
        path = write("1.listens", b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": 2}\n  \n{"a": 3}')
        assert list(json_lines(part_of(path))) == [
            ("1.listens:1", {"a": 1}), ("1.listens:3", {"a": 2}), ("1.listens:5", {"a": 3}),
        ]  # fmt: skip

    def test_refuse_what_is_none_alone(self, write):
        path = write("a.jsonl", b'{"a": 1}\n{"a": \n[]\n7\n\xff\xfe\n{"a": 2}\n')
        rows = list(json_lines(part_of(path)))
        assert taken(rows) == [{"a": 1}, {"a": 2}]
        assert list(refusals(rows)) == ["a.jsonl:2", "a.jsonl:3", "a.jsonl:4", "a.jsonl:5"]
        assert refusals(rows)["a.jsonl:3"] == "no object"


class TestWholeJson:
    def test_is_read_with_a_byte_order_mark_or_without(self, write):
        for mark in (b"", b"\xef\xbb\xbf"):
            assert whole_json(part_of(write("a.json", mark + b'{"tracks": []}'))) == {"tracks": []}

    @pytest.mark.parametrize("content", [b"", b"{", b"<html>", b"[" * 100_000])
    def test_that_is_none_says_so(self, write, content):
        with pytest.raises(FeedbackError, match=r"a\.json is no JSON"):
            whole_json(part_of(write("a.json", content)))


class TestTexts:
    LINES = ("artist\ttitle\r\n", "Björk\tJóga\n", "坂本龍一\tAqua")

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("packed", [False, True])
    def test_are_read_line_by_line_in_utf_8_and_utf_16(self, tmp_path, encoding, packed):
        content = {"a.log": "".join(self.LINES).encode(encoding)}
        path = zipped(tmp_path / "a.zip", content) if packed else lay_out(tmp_path, content) / "a.log"
        (part,) = all_parts(path)
        assert tuple(text_of(part)) == self.LINES

    def test_of_another_encoding_say_where(self, write):
        path = write("a.csv", b"a\n" * 9_000 + "Björk\n".encode("latin-1"))
        with pytest.raises(FeedbackError, match=r"a\.csv is no UTF-8: soon after line \d+"):
            list(text_of(part_of(path)))

    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize(
        "recording", [b"ID3\4\0\0\0\0\x08", b"\xff\xfb\x90\x64\0\0", b"OggS\0\2", b"fLaC\0\0\0\x22"]
    )
    def test_that_are_recordings_are_named_as_none(self, tmp_path, packed, recording):
        content = {"a.csv": recording + bytes(random.Random(1).choices(range(256), k=20_000))}
        path = zipped(tmp_path / "a.zip", content) if packed else lay_out(tmp_path, content) / "a.csv"
        (part,) = all_parts(path)
        with pytest.raises(FeedbackError, match=r"a\.csv is no text, but a recording"):
            list(text_of(part))
