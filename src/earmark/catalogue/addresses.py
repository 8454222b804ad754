"""Addresses (``s3://bucket/song.mp3``) through fsspec: what is opened, and what to say when it cannot be."""

import re
from typing import Any

_CHAINED = re.compile(r"::[a-z][a-z0-9+.-]*://")


def opened(address: str) -> tuple[Any, str]:
    """The file system of an address (an `fsspec.AbstractFileSystem` that keeps no listings), and the path in it.

    Raises:
        ImportError: The package for this kind of storage is not installed.
        ValueError: fsspec knows no such kind.
    """
    import fsspec

    if _CHAINED.search(address):
        chained: tuple[Any, str] = fsspec.core.url_to_fs(address)
        return chained
    # Not by url_to_fs, which takes every "::" for a chain: an object may be called so.
    kind = fsspec.get_filesystem_class(address.partition("://")[0])
    # No listings are kept: in a long run an object may change, and a million of them would fill the memory.
    files = kind(**kind._get_kwargs_from_urls(address), use_listings_cache=False)
    return files, kind._strip_protocol(address)


def why(address: str, error: Exception) -> str:
    """What was found in place of what was sought at ``address``, and the remedy, in sentences.

    Args:
        address: Where something was sought.
        error: What fsspec raised: each kind of storage fails in a way of its own.
    """
    kind = address.partition("://")[0]
    said = f"{type(error).__name__}: {str(error).strip() or 'no reason given'}"
    s3 = kind in ("s3", "s3a")
    if isinstance(error, ImportError):
        return f"a package is missing ({error}). " + ("Install it: pip install 'earmark[s3]'." if s3 else "Install it.")
    if isinstance(error, FileNotFoundError):
        return f"nothing is there ({error}). Check the address, and that the bucket still exists."
    if isinstance(error, ValueError) and "Protocol not known" in str(error):
        return f"{kind}:// is no kind of storage that fsspec knows. s3://bucket/folder is one."
    if isinstance(error, PermissionError) or "credential" in said.lower():
        variables = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; " if s3 else "its credentials; "
        return f"it may not be read ({said}). Set {variables}they have to allow listing and reading it."
    server = "AWS_ENDPOINT_URL (needed for an S3 that is not Amazon's)" if s3 else "the address"
    return f"it cannot be reached ({said}). Check the network and {server}, and try again."
