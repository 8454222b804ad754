"""Which recordings may be copied: licences as the sources of this project write them, and some that only look alike."""

import pytest

from earmark.catalogue.licences import may_be_copied
from earmark.catalogue.songbook.corpus import Piece
from earmark.catalogue.sources.emotify import EmotifySource
from earmark.catalogue.sources.magnatagatune import MagnaTagATuneSource

FREE = (
    "CC0",
    "CC0 1.0 Universal",
    "cc-0",
    "Creative Commons Zero 1.0",
    "Public Domain",
    "Public Domain Mark 1.0",
    "https://creativecommons.org/publicdomain/zero/1.0/",
)
WITH_A_NAME = (
    "CC BY",
    "CC BY 4.0",
    "CC-BY-SA-3.0",
    "Attribution",
    "Attribution 3.0 Unported",
    "Attribution-ShareAlike 3.0 International",
    "Attribution-Share Alike 3.0 United States",
    "Creative Commons Attribution 4.0 International License",
    "Creative Commons Attribution (http://creativecommons.org/licenses/by/3.0/)",
    "http://creativecommons.org/licenses/by-sa/4.0/",
)
NOT = (
    None,
    "",
    " ",
    "CC BY-NC 4.0",
    "CC BY-NC-SA 3.0",
    "CC BY-ND 4.0",
    "Attribution-NonCommercial-ShareAlike 3.0 International",
    "Attribution-Noncommercial-Share Alike 3.0 United States",
    "Attribution-NoDerivatives 4.0",
    "Creative Commons Attribution (http://creativecommons.org/licenses/by-nc/3.0/)",
    "http://creativecommons.org/licenses/by-nc-sa/3.0/",
    "https://example.org/creativecommons.org/licenses/by/4.0/",
    "CC BY 4.0, for members",
    "public domain in the United States only",
    "composition in the public domain; recording ℗ 1999",
    "not in the public domain",
    "All rights reserved",
    "© 2020 Somebody",
    "FMA-Limited: Download Only",
    "by arrangement",
    "free",
    "Some other words",
    EmotifySource.licence,
    MagnaTagATuneSource.licence,
)


@pytest.mark.parametrize("licence", FREE)
def test_what_nobody_owns_may_be_copied(licence):
    assert may_be_copied(licence, artist=None)


@pytest.mark.parametrize("licence", WITH_A_NAME)
def test_what_wants_a_name_may_be_copied_where_there_is_one(licence):
    assert may_be_copied(licence, artist="Ann")
    assert not may_be_copied(licence, artist=None) and not may_be_copied(licence, artist="")


@pytest.mark.parametrize("licence", NOT)
def test_everything_else_may_not(licence):
    assert not may_be_copied(licence, artist="Ann")


def test_the_songbook_which_earmark_plays_itself_may():
    licence = Piece("reel/x", "x.abc", "reel", "X", "Traditional").licence
    assert may_be_copied(licence, artist="Traditional", source="songbook")
    assert not may_be_copied(licence, artist="Traditional", source="folder")
