"""Plug-ins: classes that are loaded by name, those of earmark and those that installed packages add as entry points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from earmark.errors import EarmarkError

T = TypeVar("T")


@dataclass(frozen=True)
class Plugins(Generic[T]):
    """All sources of one kind.

    Attributes:
        group: Under which entry points a package adds one.
        base: The class whose subclass each is.
        built_in: Earmark's own by name, each as ``module:Class``; imported when asked for.
        said: Class attributes, texts, that each must have.
        error: What is raised.
    """

    group: str
    base: type[T]
    built_in: Mapping[str, str]
    said: Sequence[str]
    error: type[EarmarkError]

    def names(self) -> list[str]:
        """Names that `load` knows, in alphabetical order."""
        return sorted({*self.built_in, *(point.name for point in entry_points(group=self.group))})

    def load(self, name: str) -> type[T]:
        """The source called ``name``.

        Raises:
            EarmarkError: Of the kind ``error``: there is none; or a package's cannot be loaded, is none, or takes a
                name that is taken.
        """
        added = self._added(name)
        if name in self.built_in:
            if added:
                raise self.error(
                    f"The package {_package(added[0])} adds a source {name!r}, but earmark has one of that name. "
                    f"Choose another name in its [project.entry-points.{self.group!r}], or uninstall it."
                )
            module, _, attribute = self.built_in[name].partition(":")
            found: type[T] = getattr(import_module(module), attribute)
            return found
        if not added:
            raise self.error(f"There is no source {name!r}. Known are {', '.join(self.names())}.")
        if len(added) > 1:
            raise self.error(
                f"Several packages add a source {name!r}: {', '.join(map(_package, added))}. Uninstall all but one."
            )
        return self._loaded(added[0])

    def package_of(self, name: str) -> str | None:
        """The package that adds the source ``name``; None where it is earmark's own, or there is none."""
        return next(map(_package, self._added(name)), None)

    def _added(self, name: str) -> list[EntryPoint]:
        return [point for point in entry_points(group=self.group) if point.name == name]

    def _loaded(self, point: EntryPoint) -> type[T]:
        whose = f"The source {point.name!r} of the package {_package(point)}"
        base = f"{self.base.__module__}.{self.base.__qualname__}"
        try:
            plugin = point.load()
        except Exception as error:  # whatever a foreign package does wrong, it is named
            raise self.error(
                f"{whose} cannot be loaded ({type(error).__name__}: {error}). Mend or uninstall that package."
            ) from error
        if not (isinstance(plugin, type) and issubclass(plugin, self.base)):
            raise self.error(f"{whose} is {plugin!r}, no subclass of {base}. Its entry point should name one.")
        if unsaid := [said for said in self.said if not isinstance(getattr(plugin, said, None), str)]:
            raise self.error(
                f"{whose} does not say its {' and '.join(unsaid)}. Each source declares them as class attributes, see "
                f"{base}."
            )
        return plugin


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
