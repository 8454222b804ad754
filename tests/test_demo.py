"""The demo's questions: which songs it asks about, how it asks, and what it tells when that fails."""

import json
import threading
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas as pd
import pytest

from earmark.demo import ask, held_out_songs
from earmark.errors import ToolError
from earmark.files import sha256_of


def project(root: Path, splits: list[tuple[str, str, str]]) -> Path:
    """Tracks of ``(track_id, split, genre)``, as the stages `validate` and `split` write them."""
    table = pd.DataFrame(splits, columns=["track_id", "split", "genre"])
    (root / "data").mkdir()
    table[["track_id", "split", "genre"]].to_parquet(root / "data/splits.parquet")
    tracks = table[["track_id", "genre"]].assign(path="audio/" + table["track_id"], title=None)
    tracks.iloc[::2, tracks.columns.get_loc("title")] = "A title"
    for track_id in table["track_id"]:
        (root / "audio" / track_id).parent.mkdir(parents=True, exist_ok=True)
        (root / "audio" / track_id).write_text(track_id)
    tracks["content_hash"] = [sha256_of(root / path) for path in tracks["path"]]
    tracks.to_parquet(root / "data/catalogue.parquet")
    return root


class TestHeldOutSongs:
    def test_it_is_the_first_test_song_of_each_genre(self, tmp_path):
        rows = [("d.wav", "test", "polka"), ("c.wav", "test", "waltz"), ("a.wav", "train", "waltz")]
        rows += [("b.wav", "test", "polka"), ("e.wav", "validation", "jig")]
        songs = held_out_songs(project(tmp_path, rows))
        assert [(song.audio, song.genre) for song in songs] == [
            (tmp_path / "audio/b.wav", "polka"),
            (tmp_path / "audio/c.wav", "waltz"),
        ]

    def test_a_song_without_a_title_is_called_by_its_file(self, tmp_path):
        songs = held_out_songs(project(tmp_path, [("a/x.wav", "test", "polka"), ("b/y.wav", "test", "waltz")]))
        assert [song.title for song in songs] == ["A title", "y.wav"]

    def test_of_many_genres_it_asks_about_eight(self, tmp_path):
        rows = [(f"{number:02}.wav", "test", f"genre {number}") for number in range(30)]
        assert len(held_out_songs(project(tmp_path, rows))) == 8

    def test_without_a_test_song_it_names_the_remedy(self, tmp_path):
        with pytest.raises(ToolError, match="test_share"):
            held_out_songs(project(tmp_path, [("a.wav", "train", "polka")]))


class Asked(BaseHTTPRequestHandler):
    """Answers with the name, the type and the size of the file that came; refuses empty ones."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        (part,) = message_from_bytes(head + body).get_payload()
        content = part.get_payload(decode=True)
        answer = {"field": part.get_param("name", header="content-disposition"), "bytes": len(content)}
        self.send_response(200 if content else 400)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/predict"
        server.shutdown()


class TestAsk:
    def test_it_sends_the_file_as_a_browsers_form_would(self, address, write):
        assert ask(address, write("song.mp3", b"\x00\r\n--\xff" * 9)) == {"field": "file", "bytes": 54}

    def test_no_proxy_stands_between(self, address, write, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert ask(address, write("song.mp3", b"abc"))["bytes"] == 3

    def test_a_refusal_is_told_in_the_services_words(self, address, write):
        with pytest.raises(ToolError, match=r'refuses the song with 400: \{"field": "file"'):
            ask(address, write("song.mp3", b""))

    def test_a_service_that_is_gone_is_told_with_its_log(self, write):
        with pytest.raises(ToolError, match=r"does not answer.*service\.log"):
            ask("http://127.0.0.1:9/predict", write("song.mp3", b"abc"))
