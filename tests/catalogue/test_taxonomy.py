"""The taxonomy: what a name is mapped to, what is said of the rest, and what may not stand in the file."""

from pathlib import Path

import pandas as pd
import pytest

from earmark.catalogue.taxonomy import Taxonomy, apply_taxonomy, comparable, read_taxonomy
from earmark.errors import ParamsError
from scratch import CHECKOUT

TEXT = """
genres:
  hip-hop: [hiphop, Hip-Hop/Rap, Rap]
  rock: [Alternative Rock]
  polka:
sources:
  emotify:
    rock: [pop, rap]
"""


@pytest.fixture
def taxonomy(tmp_path: Path) -> Taxonomy:
    return read(tmp_path, TEXT)


def read(folder: Path, text: str) -> Taxonomy:
    (folder / "taxonomy.yaml").write_text(text)
    return read_taxonomy(folder / "taxonomy.yaml")


def tracks(*rows: tuple[str, str | None]) -> pd.DataFrame:
    columns = {"source": [s for s, _ in rows], "genre": [g for _, g in rows]}
    return pd.DataFrame({**columns, "genre_source": None, "tags": [()] * len(rows)})


class TestNames:
    @pytest.mark.parametrize(
        "name", ["hip-hop", "Hip Hop", "HIPHOP", "hip‐hop", "hip – hop", "ｈｉｐ hop", "hip\u00a0hop"]
    )
    def test_capitals_spaces_hyphens_and_compatibility_forms_do_not_count(self, name: str) -> None:
        assert comparable(name) == "hiphop"

    @pytest.mark.parametrize("name", ["trip-hop", "hip-hop/rap", "hip_hop", "híphop"])
    def test_other_signs_do(self, name: str) -> None:
        assert comparable(name) != "hiphop"


class TestMapping:
    @pytest.mark.parametrize(
        ("name", "genre"),
        [
            ("Rap", "hip-hop"),
            ("hip hop / rap", "hip-hop"),
            ("alternative-rock", "rock"),
            ("Rock", "rock"),
            ("POLKA", "polka"),
            ("pop", None),
        ],
    )
    def test_a_name_leads_to_the_teams_genre_and_that_to_itself(
        self, taxonomy: Taxonomy, name: str, genre: str | None
    ) -> None:
        assert taxonomy.genre_of(name, "folder") == genre

    def test_what_one_source_means_goes_first(self, taxonomy: Taxonomy) -> None:
        assert taxonomy.genre_of("Pop", "emotify") == "rock"
        assert taxonomy.genre_of("rap", "emotify") == "rock"
        assert taxonomy.genre_of("hiphop", "emotify") == "hip-hop"

    def test_the_tracks_get_the_teams_genres_and_each_name_is_reported(self, taxonomy: Taxonomy) -> None:
        given = tracks(("folder", "Rap"), ("emotify", "pop"), ("folder", "pop"), ("folder", None), ("folder", "pop"))
        given.index = pd.Index([7, 3, 9, 1, 4])
        told, names = apply_taxonomy(taxonomy, given)
        assert list(told.index) == [7, 3, 9, 1, 4]
        assert list(told["genre"].fillna("-")) == ["hip-hop", "rock", "pop", "-", "pop"]
        assert list(told["source_genre"].fillna("-")) == ["Rap", "pop", "pop", "-", "pop"]
        assert told["refused_genre"].isna().all()
        assert names.fillna("-").to_dict("records") == [
            {"source": "emotify", "kind": "genre", "name": "pop", "tracks": 1, "mapped_to": "rock"},
            {"source": "folder", "kind": "genre", "name": "Rap", "tracks": 1, "mapped_to": "hip-hop"},
            {"source": "folder", "kind": "genre", "name": "pop", "tracks": 2, "mapped_to": "-"},
        ]

    def test_a_genre_that_a_library_gave_is_the_librarys_name_and_no_longer_the_sources(self, tmp_path: Path) -> None:
        taxonomy = read(tmp_path, "genres: {soul: [], pop: []}\nsources: {spotify: {soul: [pop]}}")
        told, names = apply_taxonomy(
            taxonomy, tracks(("folder", "pop"), ("folder", "pop")).assign(genre_source=["spotify", None])
        )
        assert list(told["genre"]) == ["soul", "pop"]
        assert list(zip(names["source"], names["mapped_to"], strict=True)) == [("folder", "pop"), ("spotify", "soul")]

    def test_what_has_no_place_is_refused_where_the_file_says_so(self, tmp_path: Path) -> None:
        taxonomy = read(tmp_path, TEXT + "unmapped: refuse")
        told, _ = apply_taxonomy(taxonomy, tracks(("folder", "pop"), ("folder", "rap"), ("folder", None)))
        assert list(told["refused_genre"].fillna("-")) == ["pop", "-", "-"]

    @pytest.mark.parametrize("text", ["", "genres: {}", (CHECKOUT / "data/taxonomy.yaml").read_text()])
    def test_as_shipped_it_changes_nothing(self, tmp_path: Path, text: str) -> None:
        given = tracks(("folder", "Hip Hop"), ("folder", "hip-hop"), ("emotify", None))
        told, names = apply_taxonomy(read(tmp_path, text), given)
        assert list(told["genre"].fillna("-")) == ["Hip Hop", "hip-hop", "-"]
        assert list(names["mapped_to"]) == list(names["name"]) and len(names) == 2
        assert told[["refused_genre", "unknown_tags"]].isna().all(axis=None)

    def test_without_a_file_too(self, tmp_path: Path) -> None:
        assert read_taxonomy(tmp_path / "taxonomy.yaml") == Taxonomy()

    def test_a_catalogue_without_a_single_genre_passes(self, taxonomy: Taxonomy) -> None:
        told, names = apply_taxonomy(taxonomy, tracks(("folder", None)).astype({"genre": "str"}))
        assert told["genre"].isna().all() and names.empty


class TestTags:
    def test_genres_among_them_are_mapped_like_the_label_once_each_and_reported(self, tmp_path: Path) -> None:
        taxonomy = read(tmp_path, TEXT + "unmapped: refuse\ntags: [genre---rock, hiphop]")
        rows = [("Rap", "x", "HIPHOP", "Polska"), ("pop", "rock"), None, ("rap", "Rap")]
        tags = [row and ("Rap", *(f"genre---{name}" for name in row)) for row in rows]
        given = tracks(("folder", "rap"), ("emotify", None), ("folder", None), ("folder", None)).assign(tags=tags)
        told, names = apply_taxonomy(taxonomy, given)
        assert [row and list(row) for row in told["tags"]] == [
            ["Rap", "genre---hip-hop", "genre---x", "genre---Polska"],
            ["Rap", "genre---rock"],
            None,
            ["Rap", "genre---hip-hop"],
        ]
        assert told["refused_genre"].isna().all()  # a tag without a place refuses nobody
        assert told["unknown_tags"][0] == "Rap, genre---hip-hop, genre---x, genre---Polska"
        assert told["unknown_tags"][1] == "Rap"
        found = names[names["kind"] == "tag"].drop(columns="kind").fillna("-")
        assert list(found.itertuples(index=False, name=None)) == [
            ("emotify", "pop", 1, "rock"), ("emotify", "rock", 1, "rock"),
            ("folder", "HIPHOP", 1, "hip-hop"), ("folder", "Polska", 1, "-"), ("folder", "Rap", 2, "hip-hop"),
            ("folder", "rap", 1, "hip-hop"), ("folder", "x", 1, "-"),
        ]  # fmt: skip

    def test_without_genres_in_the_file_none_changes(self, tmp_path: Path) -> None:
        given = tracks(("folder", "a")).assign(tags=[("genre---B", "c", "genre---B")])
        told, names = apply_taxonomy(read(tmp_path, "genres: {}"), given)
        assert told["tags"][0] == ("genre---B", "c", "genre---B")
        assert list(names[names["kind"] == "tag"]["mapped_to"]) == ["B"]

    def test_those_outside_the_vocabulary_are_named(self, tmp_path: Path) -> None:
        taxonomy = read(tmp_path, "tags: [Slow, acoustic guitar]")
        given = tracks(*[("folder", "a")] * 4).assign(tags=[("slow", "Acoustic-Guitar"), ("x", "slow", "y"), (), None])
        told, _ = apply_taxonomy(taxonomy, given)
        assert list(told["unknown_tags"].fillna("-")) == ["-", "x, y", "-", "-"]

    def test_without_a_vocabulary_any_tag_will_do(self, tmp_path: Path) -> None:
        given = tracks(("folder", "a")).assign(tags=[("anything",)])
        assert apply_taxonomy(read(tmp_path, "tags: []"), given)[0]["unknown_tags"].isna().all()


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("genres: {a: [x], b: [X]}", "'X' stands below 'a' and below 'b'"),
            ("genres: {rock: [pop], pop: [rock]}", "one of your genres and stands below .*a chain or a circle"),
            ("genres: {rock: [metal], metal: [heavy metal]}", "'metal' is one of your genres and stands below 'rock'"),
            ("genres: {Hip Hop: [], hip-hop: []}", "'Hip Hop' and 'hip-hop' are one name"),
            ("genres: {a: [' - ']}", "' - ' is an empty name"),
            ("genres: {'': [a]}", "'' is an empty name"),
            ("genres: {1980: [a]}", "1980 is no text but int; put it in quotes"),
            ("genres: {a: [no]}", "False is no text but bool"),
            ("genres: {a: b}", "should be a list of names"),
            ("genres: [a]", "genres should be a mapping"),
            ("genres:\n  a: []\n  a: [b]", "line 3: 'a' stands here a second time"),
            ("sources: {gtzan: {hiphop: [rap]}}", "'hiphop' is none of your genres"),
            ("genres: {a: []}\nsources: {gtzan: {a: [x], A: [y]}}", "'A' is none of your genres"),
            ("sources: {fmaa: {}}", "sources: fmaa: no source or library is called that.* Perhaps fma is meant"),
            ("sources: {qqq: {}}", "known are .*folder.*spotify.*songbook.*install the package"),
            ("unmapped: yes", "unmapped is True; it must be keep or refuse"),
            ("unmapped: refuse", "every track would be refused"),
            ("genre: {}", "unknown key genre. Known here: genres, sources"),
            ("tags: [1]", "tags: 1 is no text"),
            ("- a", "should be a mapping"),
            ("a: [", "not valid YAML"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(ParamsError, match=said):
            read(tmp_path, text)


def test_the_starter_in_the_documentation_maps_what_it_says(tmp_path: Path) -> None:
    text = (CHECKOUT / "docs/taxonomy.md").read_text()
    (starter,) = (part.partition("```")[0] for part in text.split("```yaml\n")[1:])
    taxonomy = read(tmp_path, starter)
    gtzan = "blues classical country disco hiphop jazz metal pop reggae rock"
    assert all(taxonomy.genre_of(name, "gtzan") for name in gtzan.split())
    fma = ("Hip-Hop", "Pop", "Folk", "Experimental", "Rock", "International", "Electronic", "Instrumental", "Soul-RnB")
    fma += ("Jazz", "Classical", "Country", "Blues", "Spoken", "Easy Listening", "Old-Time / Historic")
    assert all(taxonomy.genre_of(name, "fma") for name in fma)
    for name, genre in {"Hip-Hop/Rap": "hip-hop", "R&B/Soul": "soul-rnb", "alternative rock": "rock"}.items():
        assert taxonomy.genre_of(name, "apple") == genre
