"""Every source by its name: those of earmark, and those that an installed package adds under ``earmark.sources``.

A package adds one in its pyproject.toml, and touches nothing here::

    [project.entry-points."earmark.sources"]
    ours = "our_package.ours:OurSource"
"""

from collections.abc import Iterator

from earmark.catalogue.sources.source import Candidate, Refusal, Source
from earmark.errors import CatalogueError, EarmarkError
from earmark.plugins import Plugins

_HERE = "earmark.catalogue.sources."

_SOURCES = Plugins(
    "earmark.sources",
    Source,
    {
        "ballroom": f"{_HERE}ballroom:BallroomSource",
        "emotify": f"{_HERE}emotify:EmotifySource",
        "fma": f"{_HERE}fma:FmaSource",
        "folder": f"{_HERE}folder:FolderSource",
        "gtzan": f"{_HERE}gtzan:GtzanSource",
        "magnatagatune": f"{_HERE}magnatagatune:MagnaTagATuneSource",
        "mtg-jamendo": f"{_HERE}mtg_jamendo:MtgJamendoSource",
        "table": f"{_HERE}table:TableSource",
        "tagged": f"{_HERE}tagged:TaggedSource",
    },
    said=("name", "expects"),
    error=CatalogueError,
)


def source_names() -> list[str]:
    """Names that `load_source` knows, in alphabetical order."""
    return _SOURCES.names()


def load_source(name: str) -> type[Source]:
    """The source called ``name``.

    Raises:
        CatalogueError: There is none; or a package's source cannot be loaded, is none, or takes a name that is taken.
    """
    return _SOURCES.load(name)


def entries_of(source: Source) -> Iterator[Candidate | Refusal]:
    """What `Source.candidates` gives; where a package's source fails in a way of its own, the package is named.

    Raises:
        EarmarkError: As the source says; or it is a package's, and has failed.
    """
    try:
        yield from source.candidates()
    except EarmarkError:
        raise
    except Exception as error:
        package = _SOURCES.package_of(source.name)
        if package is None:  # earmark's own fault: the trace says more
            raise
        raise CatalogueError(
            f"The source {source.name!r} of the package {package} failed on {source.path} ({type(error).__name__}: "
            f"{error}). It should refuse what it cannot read, or raise a CatalogueError; mend that package. Nothing "
            "was imported."
        ) from error
