"""Published weights, from the file in which their authors put them out: musicnn's wheel.

``pip download musicnn==0.1.0 --no-deps`` brings it (29 MB; ISC licence). It is only unpacked, never installed: the
package itself asks for versions of TensorFlow and NumPy of 2019.
"""

import zipfile
from pathlib import Path

from earmark.errors import ModelError
from earmark.files import sha256_of
from earmark.model.encoders.bundle import read_bundle
from earmark.model.encoders.musicnn import VARIABLES, MusicnnEncoder, from_variables

MUSICNN_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
_CHECKPOINT = "musicnn/MSD_musicnn/"
_REMEDY = "`pip download musicnn==0.1.0 --no-deps` brings the right one, musicnn-0.1.0-py3-none-any.whl."


def from_wheel(wheel: Path, *, sha256: str = MUSICNN_SHA256) -> MusicnnEncoder:
    """The encoder in musicnn's wheel.

    Args:
        wheel: The file as it was downloaded.
        sha256: What it has to be.

    Raises:
        ModelError: It is missing, another file, or another version.
    """
    if not wheel.is_file():
        raise ModelError(f"There is no file {wheel}. {_REMEDY}")
    if (found := sha256_of(wheel)) != sha256:
        raise ModelError(
            f"{wheel.name} is not musicnn 0.1.0: its SHA-256 begins with {found[:12]}, not with {sha256[:12]}. It is "
            f"another version, another file, or cut off. {_REMEDY}"
        )
    try:
        with zipfile.ZipFile(wheel) as content:
            index = content.read(f"{_CHECKPOINT}.index")
            data = content.read(f"{_CHECKPOINT}.data-00000-of-00001")
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"{wheel.name} is no wheel with a checkpoint in {_CHECKPOINT} ({error}). {_REMEDY}") from error
    return from_variables(read_bundle(index, data, VARIABLES))
