"""Every source by its name: those of earmark, and those that an installed package adds under ``earmark.sources``.

A package adds one in its pyproject.toml, and touches nothing here::

    [project.entry-points."earmark.sources"]
    ours = "our_package.ours:OurSource"
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from earmark.catalogue.sources.source import Candidate, Refusal, Source
from earmark.errors import CatalogueError, EarmarkError

GROUP = "earmark.sources"

_BUILT_IN = {
    "ballroom": "earmark.catalogue.sources.ballroom:BallroomSource",
    "emotify": "earmark.catalogue.sources.emotify:EmotifySource",
    "fma": "earmark.catalogue.sources.fma:FmaSource",
    "folder": "earmark.catalogue.sources.folder:FolderSource",
    "gtzan": "earmark.catalogue.sources.gtzan:GtzanSource",
    "magnatagatune": "earmark.catalogue.sources.magnatagatune:MagnaTagATuneSource",
    "mtg-jamendo": "earmark.catalogue.sources.mtg_jamendo:MtgJamendoSource",
    "table": "earmark.catalogue.sources.table:TableSource",
    "tagged": "earmark.catalogue.sources.tagged:TaggedSource",
}


def source_names() -> list[str]:
    """Names that `load_source` knows, in alphabetical order."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def load_source(name: str) -> type[Source]:
    """The source called ``name``.

    Raises:
        CatalogueError: There is none; or a package's source cannot be loaded, is none, or takes a name that is taken.
    """
    added = [point for point in entry_points(group=GROUP) if point.name == name]
    if name in _BUILT_IN:
        if added:
            raise CatalogueError(
                f"The package {_package(added[0])} adds a source {name!r}, but earmark has one of that name. Choose "
                f"another name in its [project.entry-points.{GROUP!r}], or uninstall it."
            )
        module, _, attribute = _BUILT_IN[name].partition(":")
        found: type[Source] = getattr(import_module(module), attribute)
        return found
    if not added:
        raise CatalogueError(f"There is no source {name!r}. Known are {', '.join(source_names())}.")
    if len(added) > 1:
        raise CatalogueError(
            f"Several packages add a source {name!r}: {', '.join(map(_package, added))}. Uninstall all but one."
        )
    try:
        plugin = added[0].load()
    except Exception as error:  # whatever a foreign package does wrong, it is named
        raise CatalogueError(
            f"The source {name!r} of the package {_package(added[0])} cannot be loaded ({type(error).__name__}: "
            f"{error}). Mend or uninstall that package."
        ) from error
    if not (isinstance(plugin, type) and issubclass(plugin, Source)):
        raise CatalogueError(
            f"The source {name!r} of the package {_package(added[0])} is {plugin!r}, no subclass of "
            "earmark.catalogue.sources.source.Source. Its entry point should name one."
        )
    if unsaid := [said for said in ("name", "expects") if not isinstance(getattr(plugin, said, None), str)]:
        raise CatalogueError(
            f"The source {name!r} of the package {_package(added[0])} does not say its {' and '.join(unsaid)}. Each "
            "source declares them as class attributes, see docs/sources.md."
        )
    return plugin


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
        package = next((_package(point) for point in entry_points(group=GROUP) if point.name == source.name), None)
        if package is None:  # earmark's own fault: the trace says more
            raise
        raise CatalogueError(
            f"The source {source.name!r} of the package {package} failed on {source.path} ({type(error).__name__}: "
            f"{error}). It should refuse what it cannot read, or raise a CatalogueError; mend that package. Nothing "
            "was imported."
        ) from error


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
