"""Arrays in .npy and .npz files: read without pickle and with sizes checked first, written the same bytes each time."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from topoplan.errors import InputError, Place
from topoplan.files.inputs import Source

MAX_ARRAY_BYTES = 2**32  # a file, and all arrays of it unpacked
_MAX_RATIO = 200  # unpacked / packed beyond this and `_SMALL` bytes is a bomb
_SMALL = 2**28
_HEADER = 2**16  # bytes of an .npy file that its header may take
_KINDS = "biufU"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file knows

Array = npt.NDArray[Any]


def read_npy(source: Source) -> Array:
    """Array of an .npy file; InputError when it is not one, or holds Python objects."""
    return _array(source.content, source.shown)


def read_npz(source: Source, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Array]:
    """The named arrays of an .npz file; others are not looked at.

    Raises
    ------
    InputError
        Not an .npz file, an array that is missing, holds Python objects or does not fit its file, or a zip bomb.
    """
    place = Place(source.shown)
    try:
        with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            lost = sorted(set(required) - set(members))
            if lost:
                raise InputError(f"array {lost[0]!r} is missing; it has {', '.join(sorted(members)[:8])}", place=place)
            wanted = [name for name in (*required, *optional) if name in members]
            _check_size(sum(members[name].file_size for name in wanted), len(source.content), place)
            return {name: _array(archive.read(members[name]), f"{source.shown}[{name}]") for name in wanted}
    except InputError:
        raise
    except Exception as error:  # zipfile, struct and the decompressors raise a dozen kinds on damaged files
        raise InputError(f"not a readable .npz file: {error}", place=place) from None


def _check_size(unpacked: int, packed: int, place: Place) -> None:
    if unpacked > MAX_ARRAY_BYTES:
        raise InputError(f"arrays of {unpacked} bytes; at most {MAX_ARRAY_BYTES} are read", place=place)
    if unpacked > max(_SMALL, _MAX_RATIO * packed):
        raise InputError(f"{packed} bytes claim to unpack to {unpacked}", place=place)


def _array(content: bytes, shown: str) -> Array:
    """Array over the bytes of an .npy file, without copying them."""
    place = Place(shown)
    try:
        shape, fortran, dtype, offset = _header(content)
    except Exception as error:  # numpy evaluates the header as Python text, so whatever a tokenizer can raise
        raise InputError(f"not a readable .npy array: {str(error)[:200]}", place=place) from None
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise InputError(f"an array of dtype {dtype} is refused; numbers or text are needed", place=place)
    count = math.prod(shape)
    needed, held = count * dtype.itemsize, len(content) - offset
    if needed != held:
        raise InputError(
            f"shape {list(shape)} of {dtype} needs {needed} bytes, the file has {held}",
            place=place,
            hint="is the file complete?",
        )
    return np.frombuffer(content, dtype, count, offset).reshape(shape, order="F" if fortran else "C")


def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran order, dtype, and where the data begin."""
    file = io.BytesIO(content[:_HEADER])
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"format version {version} is not known")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers written by Python 2
        shape, fortran, dtype = readers[version](file)
    if any(size < 0 for size in shape):
        raise ValueError(f"shape {shape}")
    return shape, fortran, dtype, file.tell()


def npy_bytes(array: npt.ArrayLike) -> bytes:
    """.npy file of an array in C order."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def npz_bytes(arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """.npz file of the arrays in the order given, byte-identical for equal arrays on every machine.

    Nothing is compressed (zlib versions differ in their output) and every member carries the same date.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.create_system = 3  # else it records the operating system
            info.external_attr = 0o600 << 16
            archive.writestr(info, npy_bytes(array))
    return file.getvalue()
