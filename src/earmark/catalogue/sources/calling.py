"""One careful way to ask a web service: paging, waiting, trying again, and never giving a token away.

* 429 is waited for as long as Retry-After says (seconds or a date), up to a limit.
* 5xx, time-outs, broken connections and answers that cannot be unpacked or are no JSON are tried again, each time after
  twice the wait.
* 401 and every other 4xx end at once, with what helps.
* A token goes to the service's own address alone: redirects and links to another place are not followed, an address
  without encryption is refused unless it is this machine's, and what an error says is cleared of tokens first.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from earmark.errors import CatalogueError

if TYPE_CHECKING:
    import httpx

_EMPTY_PAGES = 3
_SHOWN = 300  # characters of a service's own message
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Patience:
    """How long to bear with a service.

    Attributes:
        timeout_s: For connecting, and between two pieces of an answer.
        attempts: At one address, the first included.
        first_wait_s: After the first failure; twice that after the second, and so on.
        longest_wait_s: Nothing is waited for longer at once, whatever Retry-After says.
    """

    timeout_s: float = 30.0
    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 300.0


class _Passing(Exception):
    """A failure that may pass; ``wait_s`` is how long the service asks to wait, where it says."""

    def __init__(self, said: str, wait_s: float | None = None) -> None:
        super().__init__(said)
        self.wait_s = wait_s


def token(variable: str, remedy: str) -> str:
    """The token in the environment variable ``variable``.

    Raises:
        CatalogueError: It is not set, or holds what no token can be; its value is not in the text.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise CatalogueError(f"The environment variable {variable} is not set. {remedy}")
    if not all("!" <= letter <= "~" for letter in value):
        raise CatalogueError(
            f"The environment variable {variable} holds spaces, line breaks or letters that no token has. Was it "
            f"copied with something around it? {remedy}"
        )
    return value


class Service:
    """A web service that answers in JSON; use it as a context manager.

    Args:
        name: For messages.
        address: What every path is put behind, such as ``https://api.spotify.com/v1``.
        headers: Sent with every request; their values are secrets.
        remedies: What helps, by status (401, 403).
        patience: How long to bear with it.
        say: Told about every longer wait.

    Raises:
        CatalogueError: The address is no https address, nor one on this machine.
    """

    def __init__(
        self,
        name: str,
        address: str,
        headers: Mapping[str, str],
        *,
        remedies: Mapping[int, str],
        patience: Patience,
        say: Callable[[str], None] | None = None,
    ) -> None:
        import httpx

        self._name, self._address, self._remedies, self._patience = name, address.rstrip("/"), remedies, patience
        self._origin = _origin(self._address)
        if self._origin is None or not (self._origin[0] == "https" or self._origin[1] in _LOOPBACK):
            raise CatalogueError(
                f"{address!r} is no https address, so a token sent there could be read on the way. Give one that "
                "begins with https://, or one on this machine (http://localhost:…)."
            )
        self._secrets = [word for value in headers.values() for word in value.split() if len(word) > 6]
        self._say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        self._client = httpx.Client(
            headers={**headers, "Accept": "application/json"}, timeout=patience.timeout_s, follow_redirects=False
        )

    def __enter__(self) -> "Service":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, *, missing: dict[str, Any] | None = None) -> dict[str, Any]:
        """The object at ``path``; ``missing`` in its place where there is none (404).

        Raises:
            CatalogueError: It cannot be had.
        """
        return self._ask(self._address + path, {}, missing)

    def pages(self, path: str, params: Mapping[str, str | int], *, rows: str) -> Iterator[dict[str, Any]]:
        """All pages that begin at ``path`` and link on by ``next``, each with a list ``rows``.

        Parameters that a link leaves out are put back, because Apple's links leave out all but the offset.

        Raises:
            CatalogueError: A page cannot be had or is none, or links to another place or in a circle.
        """
        url, asked, empty = self._address + path, dict(params), 0
        seen: set[str] = set()
        while True:
            page = self._ask(url, asked, None)
            found, following = page.get(rows), page.get("next")
            if not isinstance(found, list) or not isinstance(following, str | None):
                raise CatalogueError(
                    f"{self._name} answered {self._shown(url)} without a list {rows!r}, or with a link that is none; "
                    f"it has {', '.join(sorted(map(str, page))) or 'nothing'}. Is {self._address} the right address?"
                )
            yield page
            empty = 0 if found else empty + 1
            if not following:
                return
            url = self._own(following)
            if url in seen or empty >= _EMPTY_PAGES:
                raise CatalogueError(
                    f"{self._name}'s pages do not end: {self._shown(url)} was read before, or page after page is "
                    "empty. That is the service's fault; try again later."
                )
            seen.add(url)

    def _own(self, link: str) -> str:
        """A link that leads within the service's own address."""
        url = self._address + link if link.startswith("/") else link
        if _origin(url) != self._origin:
            raise CatalogueError(
                f"{self._name} links to {self._shown(url)}, which is not at {self._address}. It was not followed, "
                "because the token is for that address alone. Behind a proxy, the proxy has to rewrite such links."
            )
        return url

    def _ask(self, url: str, params: Mapping[str, str | int], missing: dict[str, Any] | None) -> dict[str, Any]:
        wait_s = self._patience.first_wait_s
        for attempt in range(1, self._patience.attempts + 1):
            try:
                return self._ask_once(url, params, missing)
            except _Passing as failure:
                needed_s = wait_s if failure.wait_s is None else failure.wait_s
                said = f"{self._name} at {self._shown(url)}: {failure}"
            if attempt == self._patience.attempts:
                break
            if needed_s > self._patience.longest_wait_s:
                raise CatalogueError(
                    f"{said}; it asks to wait {needed_s:.0f} s, longer than the {self._patience.longest_wait_s:.0f} s "
                    "that earmark waits at once. Run the same command again after that: nothing was changed."
                )
            self._say(f"{said}; trying again in {needed_s:.0f} s ({attempt} of {self._patience.attempts} attempts)")
            time.sleep(needed_s)
            wait_s = min(2 * wait_s, self._patience.longest_wait_s)
        raise CatalogueError(
            f"{said}; {self._patience.attempts} attempts came to nothing. Check the network and the service's status "
            "page, and run the same command again later: nothing was changed."
        )

    def _ask_once(self, url: str, params: Mapping[str, str | int], missing: dict[str, Any] | None) -> dict[str, Any]:
        import httpx

        try:
            whole = httpx.URL(url)
            whole = whole.copy_merge_params({key: value for key, value in params.items() if key not in whole.params})
            answer = self._client.get(whole)
        except httpx.TimeoutException:
            raise _Passing(f"no answer within {self._patience.timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise _Passing(self._clean(f"no connection ({error or type(error).__name__})")) from None
        except httpx.DecodingError as error:
            raise _Passing(f"the answer cannot be unpacked ({self._clean(str(error))})") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CatalogueError(self._clean(f"{self._name} cannot be asked for {url}: {error}")) from None
        if answer.status_code == 429:
            raise _Passing("too many requests (429)", _retry_after_s(answer))
        if answer.status_code >= 500:
            raise _Passing(f"the service itself failed ({answer.status_code})", _retry_after_s(answer))
        if answer.status_code == 404 and missing is not None:
            return missing
        if answer.status_code != 200:
            raise self._refused(answer, url)
        try:
            content = answer.json()
        except (ValueError, RecursionError):
            kind = answer.headers.get("content-type", "nothing named")
            raise _Passing(f"the answer ({kind}, {len(answer.content)} bytes) is no JSON") from None
        if not isinstance(content, dict):
            raise CatalogueError(
                f"{self._name} answered {self._shown(url)} with a {type(content).__name__}, no object."
            )
        return content

    def _refused(self, answer: "httpx.Response", url: str) -> CatalogueError:
        remedy = self._remedies.get(answer.status_code, f"Is {self._address} the right address?")
        if answer.is_redirect:
            remedy = f"It points elsewhere, where a token must not follow. Is {self._address} the right address?"
        return CatalogueError(
            f"{self._name} refused {self._shown(url)} with {answer.status_code}{self._message(answer)}. {remedy}"
        )

    def _message(self, answer: "httpx.Response") -> str:
        """The service's own words: ``{error: {message}}`` at Spotify, ``{errors: [{title, detail}]}`` at Apple."""
        try:
            content = answer.json()
            error = content.get("error") or content["errors"][0]
            said = error if isinstance(error, str) else error.get("message") or error.get("detail") or error["title"]
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return ""
        return f" ({self._clean(str(said)).rstrip('.')})"

    def _shown(self, url: str) -> str:
        return self._clean(url.partition("?")[0])

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return "".join(letter if letter.isprintable() else " " for letter in text)[:_SHOWN]


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what is no address of a web service, or brings a name and password along."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or "@" in parts.netloc or "\\" in url:  # some readers take a backslash for a slash
        return None
    return parts.scheme, parts.hostname, port


def _retry_after_s(answer: "httpx.Response") -> float | None:
    """Seconds from now, from a number or a date (RFC 9110, 10.2.3); None where the header says neither."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
