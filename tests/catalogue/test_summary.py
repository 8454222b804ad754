"""What an import says at its end: whether the collection has genres to tell apart, and what helps where it has not."""

from pathlib import Path

import pytest

from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.sources.folder import FolderSource
from earmark.catalogue.sources.table import TableSource
from source_tools import PARAMS, lay_out, lines, tone

WARNING, FOLDERS = "it needs two at least", "first folder below the path you gave"


@pytest.fixture
def music(tmp_path) -> Path:
    return lay_out(
        tmp_path / "music",
        {"jazz/a.wav": tone("wav", 1), "rock/b.wav": tone("wav", 2), "x.csv": lines("path,genre", "jazz/a.wav,Jazz")},
    )


def said(source, root) -> str:
    return import_collection(source, root, PARAMS, name="mine", processes=1).summary()


class TestTheWarningOfOneGenre:
    def test_speaks_of_folders_where_they_are_the_genres(self, music, tmp_path):
        (music / "jazz/a.wav").rename(music / "a.wav")
        summary = said(FolderSource(music), tmp_path)
        assert WARNING in summary and FOLDERS in summary

    def test_speaks_of_none_where_a_table_tells_the_genre(self, music, tmp_path):
        summary = said(TableSource(music / "x.csv"), tmp_path)
        assert WARNING in summary and FOLDERS not in summary

    def test_is_of_the_whole_collection(self, music, tmp_path):
        assert WARNING not in said(FolderSource(music), tmp_path)
        assert WARNING not in said(TableSource(music / "x.csv"), tmp_path)
