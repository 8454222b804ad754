"""API keys: shown once, kept as a hash, and never lost when several people make one at a time."""

import json
import multiprocessing
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from earmark.cli.keys import keys as command
from earmark.errors import ParamsError
from earmark.serving.keys import KEYS, KeyRing, KeysDamaged, add_key, keys_path, presented_key, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some/keys.json"


def add_some(path: str, start: int) -> None:
    for number in range(start, start + 5):
        add_key(Path(path), f"key{number}")


class TestAddKey:
    def test_the_key_is_recognised_as_one_and_is_different_each_time(self, path):
        made = {add_key(path, f"k{n}") for n in range(20)}
        assert len(made) == 20
        assert all(key.startswith("earmark_") and len(key) == 8 + 52 and key.isascii() for key in made)

    def test_the_file_holds_no_key_and_nobody_else_may_read_it(self, path):
        key = add_key(path, "label", requests_per_minute=30)
        content = path.read_text()
        assert key not in content and key.removeprefix("earmark_") not in content.lower()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        (entry,) = json.loads(content)["keys"]
        assert entry["name"] == "label" and entry["requests_per_minute"] == 30 and entry["created"].endswith("+00:00")

    def test_the_same_key_has_another_hash_in_another_file(self, path, tmp_path):
        add_key(path, "a")
        add_key(tmp_path / "other.json", "a")
        one, other = read_keys(path), read_keys(tmp_path / "other.json")
        assert one.hash_of("earmark_x") != other.hash_of("earmark_x")

    def test_a_name_is_taken_once(self, path):
        key = add_key(path, "label")
        with pytest.raises(ParamsError, match="already"):
            add_key(path, "label")
        assert read_keys(path).holder(key).name == "label"

    @pytest.mark.parametrize("name", ["", "-x", "a b", "a\nb", "é", "a" * 65, "../x"])
    def test_a_name_is_fit_for_a_log(self, path, name):
        with pytest.raises(ParamsError, match="stands in the log"):
            add_key(path, name)

    def test_a_damaged_file_is_left_as_it_is(self, path):
        path.parent.mkdir()
        path.write_text("half a fi")
        with pytest.raises(KeysDamaged, match="backup"):
            add_key(path, "label")
        assert path.read_text() == "half a fi"

    def test_keys_made_at_the_same_time_are_all_kept(self, path):
        spawn = multiprocessing.get_context("spawn")
        makers = [spawn.Process(target=add_some, args=(str(path), 10 * n)) for n in range(3)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join(60)
        assert {key.name for key in read_keys(path).keys} == {f"key{10 * n + i}" for n in range(3) for i in range(5)}
        assert {entry.name for entry in path.parent.iterdir()} == {"keys.json", ".keys.json.lock"}


class TestRevokeKey:
    def test_takes_one_and_leaves_the_others(self, path):
        gone, left = add_key(path, "gone"), add_key(path, "left")
        assert revoke_key(path, "gone") == 1
        assert read_keys(path).holder(gone) is None
        assert read_keys(path).holder(left).name == "left"

    def test_names_the_keys_there_are(self, path):
        add_key(path, "label")
        with pytest.raises(ParamsError, match="label"):
            revoke_key(path, "lable")


class TestHolder:
    def test_every_key_is_compared_whichever_it_is(self, path, monkeypatch):
        keys = [add_key(path, f"k{n}") for n in range(5)]
        known, compared = read_keys(path), []

        def compare(one: str, other: str) -> bool:
            compared.append(one)
            return one == other

        monkeypatch.setattr("hmac.compare_digest", compare)
        for key, name in [(keys[0], "k0"), (keys[4], "k4"), ("earmark_none", None)]:
            compared.clear()
            holder = known.holder(key)
            assert (holder and holder.name) == name
            assert len(compared) == 5

    def test_is_nobody_for_what_is_stored(self, path):
        add_key(path, "label")
        (known,) = read_keys(path).keys
        assert read_keys(path).holder(known.hash) is None


class TestDamage:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("hash", "00"),
            ("hash", None),
            ("name", 3),
            ("requests_per_minute", -1),
            ("requests_per_minute", True),
            ("x", 1),
        ],
    )
    def test_an_entry_that_no_command_wrote_closes_everything(self, path, field, value):
        add_key(path, "label")
        content = json.loads(path.read_text())
        content["keys"][0][field] = value
        path.write_text(json.dumps(content))
        with pytest.raises(KeysDamaged):
            KeyRing(path).keys()

    def test_so_does_a_folder_in_its_place(self, path):
        path.mkdir(parents=True)
        with pytest.raises(KeysDamaged):
            KeyRing(path).keys()


class TestPresentedKey:
    @pytest.mark.parametrize(
        ("headers", "key"),
        [
            ({}, None),
            ({b"authorization": b"Bearer  k "}, "k"),
            ({b"authorization": b"BEARER k"}, "k"),
            ({b"x-api-key": b" k "}, "k"),
            ({b"authorization": b"Basic YTpi", b"x-api-key": b"k"}, "k"),
            ({b"authorization": b"Bearer k", b"x-api-key": b"other"}, "k"),
            ({b"authorization": b"k"}, None),
        ],
    )
    def test_is_found_in_either_header(self, headers, key):
        assert presented_key(headers) == key


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path, monkeypatch):
        (tmp_path / "params.yaml").write_text("")
        monkeypatch.delenv("EARMARK_KEYS", raising=False)
        return lambda *words: CliRunner().invoke(command, words, obj=tmp_path, catch_exceptions=False)

    def test_add_prints_the_key_alone_so_that_a_pipe_can_take_it(self, run, tmp_path):
        result = run("add", "label", "--requests-per-minute", "60")
        key = result.stdout.strip()
        assert read_keys(tmp_path / KEYS).holder(key).requests_per_minute == 60
        assert "shown once" in result.stderr

    def test_list_tells_names_and_limits_but_no_hash(self, run, tmp_path):
        assert "everybody" in run("list").output
        for words in (["a"], ["b", "--requests-per-minute", "0"], ["c", "--requests-per-minute", "7"]):
            run("add", *words)
        lines = run("list").output.splitlines()
        assert [(line.split()[0], line.split("  ")[2]) for line in lines] == [
            ("a", "as params.yaml says"),
            ("b", "no limit"),
            ("c", "7 a minute"),
        ]
        assert not any(key.hash in "".join(lines) for key in read_keys(tmp_path / KEYS).keys)

    def test_revoking_the_last_says_that_the_service_is_closed_now(self, run):
        run("add", "label")
        assert "nobody may ask" in run("revoke", "label").output
        assert "nobody may ask" in run("list").output

    def test_another_file_may_be_named(self, run, tmp_path, monkeypatch):
        monkeypatch.setenv("EARMARK_KEYS", str(tmp_path / "vault/mine.json"))
        run("add", "label")
        assert keys_path(tmp_path) == tmp_path / "vault/mine.json"
        assert [key.name for key in read_keys(tmp_path / "vault/mine.json").keys] == ["label"]
        assert not (tmp_path / KEYS).exists()
