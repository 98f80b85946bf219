"""Brain images through nibabel, with the header checked before nibabel or the data are touched.

NIfTI (1 and 2, single file or pair), CIFTI-2, GIFTI and MGH. The affine must be finite and invertible, the declared
size must fit the file (or what its gzip could hold) and the memory allowed. Volumes are streamed slab by slab, so a mask can
be applied to a series that would not fit in memory.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import human_bytes
from brainenc.core.errors import DataError, InputError
from brainenc.io.gifti import check_gifti
from brainenc.io.paths import check_budget, existing_file, memory_budget, read_errors

GZIP_RATIO = 1032  # deflate cannot do better than 1032 to 1
SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz", ".mgh", ".mgz", ".mgh.gz", ".gii", ".gii.gz")
_SLAB = 64 * 2**20
_MAX_EXTENSIONS = 2**28
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


class Volume(NamedTuple):
    """What `read_volume` returns: ``data (x, y, z[, t])``, ``affine (4, 4)`` and a dict of header ``facts``."""

    data: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    facts: dict[str, Any]


def open_image(path: str | Path, *, max_bytes: str | int | None = None) -> Any:
    """Open a brain image with nibabel after checking its header; volumes are not loaded yet.

    Parameters
    ----------
    path : str or Path
        ``.nii``, ``.hdr``/``.img``, ``.mgh``/``.mgz``, ``.gii``, CIFTI (``.dscalar.nii`` …), each but MGZ also ``.gz``.
    max_bytes : str or int, optional
        Limit on the declared data; None checks it against the file only (GIFTI, loaded whole, against the free memory).

    Returns
    -------
    nibabel image

    Raises
    ------
    DataError
        Missing, damaged, truncated or hostile file; NaN, infinite or singular affine; more data declared than the file
        can hold or than allowed.

    Examples
    --------
    >>> open_image("bold.nii.gz").shape                                   # doctest: +SKIP
    (40, 20, 1, 1452)
    """
    import nibabel as nib

    source = existing_file(path)
    suffix = _suffix(source)
    if source.stat().st_size == 0:
        raise DataError("file is empty", where=source, fix="fetch it again")
    if suffix.startswith(".gii"):
        check_gifti(source, max_bytes)
    elif suffix.startswith((".nii", ".hdr", ".img")):
        _check_raw_nifti(_header_file(source))
    with read_errors(source):
        image: Any = _load_mgh(source) if suffix.startswith(".mg") else nib.load(source)
    if suffix.startswith(".gii"):
        return image
    _check_declared(image, source, max_bytes)
    if type(image).__name__ != "Cifti2Image":
        _check_affine(image.affine, source)
    return image


def read_volume(path: str | Path, *, dtype: npt.DTypeLike | None = None, max_bytes: str | int | None = None) -> Volume:
    """Read a whole volume or series.

    Parameters
    ----------
    path : str or Path
        NIfTI or MGH.
    dtype : dtype, optional
        Of the result. None keeps the stored type where the header scales nothing; scaled 8- and 16-bit integers become
        float32, other scaled data float64.
    max_bytes : str or int, optional
        Limit on the result's size; None means what memory is free.

    Returns
    -------
    Volume
        ``data`` in the image's own axes, ``affine`` (voxel indices to the header's spatial unit) and ``facts``: shape, dtype, zooms,
        t_r (seconds, None when the header has none), space_unit, time_unit, scaled, sform_code, qform_code, format.

    Raises
    ------
    DataError
        As `open_image`, and when the data are truncated.
    """
    source = existing_file(path)
    image = _open_volume(source)
    proxy = image.dataobj
    wanted = np.dtype(dtype) if dtype is not None else _natural_dtype(proxy)
    check_budget(int(np.prod(image.shape, dtype=object)) * wanted.itemsize, source, max_bytes)
    n_spatial = int(np.prod(image.shape[:3], dtype=object))
    n_t = int(np.prod(image.shape[3:], dtype=object))
    flat = np.empty((n_t, n_spatial), dtype=wanted)
    for start, slab in _slabs(image, source):
        flat[start : start + len(slab)] = _scaled(slab, proxy, wanted)
    return Volume(flat.reshape(-1).reshape(image.shape, order="F"), np.asarray(image.affine, dtype=np.float64), _facts(image))


def masked(
    path: str | Path,
    mask: npt.ArrayLike | str | Path,
    *,
    dtype: npt.DTypeLike = np.float32,
    max_bytes: str | int | None = None,
) -> npt.NDArray[Any]:
    """Read only the voxels of a mask: ``(n_t, n_voxels)``, one slab of volumes in memory at a time.

    Parameters
    ----------
    path : str or Path
        NIfTI or MGH, three- or four-dimensional (a single volume gives ``n_t = 1``).
    mask : array_like of shape (x, y, z), or path
        Voxels above 0 are read, in C order of their indices (the order of ``numpy.argwhere`` and of ``VolumeSpace.from_mask``). A
        mask file must be on the same grid, affine included.
    dtype : dtype
        Of the result.
    max_bytes : str or int, optional
        Limit on the result's size; None means what memory is free.

    Raises
    ------
    DataError
        As `read_volume`; a mask on another grid (both shapes or affines are shown) or an empty one.
    """
    source = existing_file(path)
    image = _open_volume(source)
    if len(image.shape) > 4:
        raise DataError("image has more than four axes", where=source, got=f"shape {image.shape}")
    inside = _mask(mask, image, source)
    n_t = image.shape[3] if len(image.shape) == 4 else 1
    wanted = np.dtype(dtype)
    check_budget(n_t * int(inside.sum()) * wanted.itemsize, source, max_bytes)
    # positions on disk (first axis fastest) of the voxels in C order
    where = np.ravel_multi_index(tuple(np.argwhere(inside).T), inside.shape, order="F")
    out = np.empty((n_t, int(inside.sum())), dtype=wanted)
    for start, slab in _slabs(image, source):
        out[start : start + len(slab)] = _scaled(slab[:, where], image.dataobj, wanted)
    return out


def _open_volume(source: Path) -> Any:
    image = open_image(source)
    proxy: Any = getattr(image, "dataobj", None)
    if type(image).__name__ == "Cifti2Image" or not hasattr(proxy, "offset") or len(image.shape) < 3:
        raise DataError("not a volume", where=source, got=type(image).__name__, fix="open it with open_image")
    if proxy.dtype.kind not in "fiu":
        raise DataError("voxels are not real numbers", where=source, got=f"dtype {proxy.dtype}")
    return image


def _suffix(source: Path) -> str:
    name = source.name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise DataError("not a brain image by its name", where=source, expected=", ".join(SUFFIXES))


def _header_file(source: Path) -> Path:
    name = source.name
    lower = name.lower()
    for ending, other in ((".img", ".hdr"), (".img.gz", ".hdr.gz")):
        if lower.endswith(ending):
            return existing_file(source.with_name(name[: -len(ending)] + other))
    return source


@contextmanager
def _stream(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if packed:
            with gzip.open(raw) as stream:
                yield cast("IO[bytes]", stream)
        else:
            yield raw


def _capacity(path: Path) -> tuple[int, bool]:
    """Return the most bytes a file can hold, and whether that is exact (not compressed)."""
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    size = path.stat().st_size
    return (size * GZIP_RATIO, False) if packed else (size, True)


def _check_raw_nifti(path: Path) -> None:
    """Check the bytes of a NIfTI header that nibabel would trust when it reads the extensions."""
    with read_errors(path), _stream(path) as stream:
        head = stream.read(540)
    if len(head) < 348:
        raise DataError("file is too short for a header", where=path, expected="at least 348 bytes", got=len(head), fix="fetch it again")
    for order in "<>":
        (size,) = struct.unpack(order + "i", head[:4])
        if size == 348:
            (offset,) = struct.unpack(order + "f", head[108:112])
            break
        if size == 540 and len(head) == 540:
            (offset,) = struct.unpack(order + "q", head[168:176])
            break
    else:
        raise DataError("not a NIfTI header", where=path, expected="a header of 348 or 540 bytes")
    limit = min(_MAX_EXTENSIONS, _capacity(path)[0])
    if path.name.lower().endswith((".hdr", ".hdr.gz")):
        return
    if not (np.isfinite(offset) and 0 <= offset <= limit):
        raise DataError("header places the data outside the file", where=path, got=f"offset {offset}", fix="fetch it again")


def _load_mgh(path: Path) -> Any:
    """Return a nibabel image; nibabel's own loader leaves the file open when it is damaged."""
    from nibabel.arrayproxy import ArrayProxy
    from nibabel.freesurfer.mghformat import MGHHeader, MGHImage

    with _stream(path) as stream:
        header = MGHHeader.from_fileobj(stream)
    image = MGHImage(ArrayProxy(str(path), header), header.get_affine(), header)
    image.file_map["image"].filename = str(path)
    return image


def _check_declared(image: Any, source: Path, max_bytes: str | int | None) -> None:
    shape = tuple(int(n) for n in image.shape)
    if not shape or any(n < 1 for n in shape):
        raise DataError("header declares an empty or negative size", where=source, got=f"shape {shape}")
    proxy = image.dataobj
    data_file = Path(image.file_map["image"].filename or source)
    needed = int(proxy.offset) + int(np.prod(shape, dtype=object)) * proxy.dtype.itemsize
    there, exact = _capacity(existing_file(data_file))
    if needed > there:
        raise DataError(
            "header declares more data than the file holds",
            where=source,
            expected=f"{human_bytes(needed)} for shape {shape}",
            got=human_bytes(there) if exact else f"a file that holds at most {human_bytes(there)}",
            fix="it is truncated or damaged: fetch it again",
        )
    if max_bytes is not None:
        check_budget(needed, source, max_bytes)


def _check_affine(affine: Any, source: Path) -> None:
    if affine is None or np.shape(affine) != (4, 4) or not np.isfinite(affine).all():
        raise DataError("affine is not finite", where=source, got=np.array2string(np.asarray(affine), precision=3), fix="repair the header")
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    if (zooms == 0).any() or abs(np.linalg.det(affine[:3, :3] / zooms)) < 1e-6:
        raise DataError("affine cannot be inverted", where=source, got=np.array2string(affine, precision=3), fix="repair the header")


def _natural_dtype(proxy: Any) -> np.dtype[Any]:
    stored = proxy.dtype.newbyteorder("=")
    if not _is_scaled(proxy):
        return stored
    return np.dtype(np.float32) if stored.kind in "iu" and stored.itemsize <= 2 or stored.itemsize == 4 and stored.kind == "f" else np.dtype(np.float64)


def _is_scaled(proxy: Any) -> bool:
    return bool(proxy.slope != 1 or proxy.inter != 0)


def _scaled(slab: npt.NDArray[Any], proxy: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if not _is_scaled(proxy):
        return slab.astype(dtype)
    return (slab.astype(np.float64) * float(proxy.slope) + float(proxy.inter)).astype(dtype)


def _slabs(image: Any, source: Path) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield ``(first volume, values (n, x*y*z) as stored)``, reading the file once from front to back."""
    proxy = image.dataobj
    n_spatial = int(np.prod(image.shape[:3], dtype=object))
    n_t = int(np.prod(image.shape[3:], dtype=object))
    volume = n_spatial * proxy.dtype.itemsize
    step = max(1, _SLAB // volume)
    check_budget(min(step, n_t) * volume, source, memory_budget())
    with read_errors(source), _stream(Path(image.file_map["image"].filename or source)) as stream:
        _skip(stream, int(proxy.offset))
        for start in range(0, n_t, step):
            n = min(step, n_t - start)
            content = stream.read(n * volume)
            if len(content) < n * volume:
                raise DataError(
                    "file ends before its data do", where=source, expected=f"{n_t} volumes", got=start + len(content) // volume,
                    fix="it is truncated: fetch it again",
                )  # fmt: skip
            yield start, np.frombuffer(content, dtype=proxy.dtype).reshape(n, n_spatial)
        stream.read(2**20)  # reaches the checksum at the end of a gzip file, which then is checked


def _skip(stream: IO[bytes], n_bytes: int) -> None:
    while n_bytes > 0:
        chunk = stream.read(min(n_bytes, 2**20))
        if not chunk:
            break
        n_bytes -= len(chunk)


def _mask(mask: Any, image: Any, source: Path) -> npt.NDArray[np.bool_]:
    grid = tuple(image.shape[:3])
    if isinstance(mask, str | Path):
        data, affine, _ = read_volume(mask)
        values = data.reshape(data.shape[:3]) if data.ndim > 3 and data.size == np.prod(data.shape[:3]) else data
        if values.shape == grid and not np.allclose(affine, image.affine, atol=1e-3):
            raise DataError(
                "mask and image have different affines", where=f"{mask} and {source}",
                expected=np.round(image.affine, 3).tolist(), got=np.round(affine, 3).tolist(), fix="resample the mask yourself",
            )  # fmt: skip
    else:
        values = np.asarray(mask)
    if values.shape != grid:
        raise DataError("mask and image have different shapes", where=source, expected=f"{grid}", got=f"{values.shape}")
    if values.dtype.kind not in "fiub":
        raise InputError("mask does not hold numbers", where=source, got=f"dtype {values.dtype}")
    inside = np.asarray(values > 0)
    if not inside.any():
        raise DataError("mask is empty", where=source)
    return inside


def _facts(image: Any) -> dict[str, Any]:
    header = image.header
    zooms = [float(z) for z in header.get_zooms()]
    space_unit, time_unit = header.get_xyzt_units() if hasattr(header, "get_xyzt_units") else ("mm", "msec")
    t_r = zooms[3] * _SECONDS[time_unit] if len(zooms) > 3 and time_unit in _SECONDS and zooms[3] > 0 else None
    return {
        "shape": tuple(int(n) for n in image.shape),
        "dtype": image.dataobj.dtype.newbyteorder("=").name,
        "zooms": zooms,
        "t_r": t_r,
        "space_unit": space_unit,
        "time_unit": time_unit,
        "scaled": _is_scaled(image.dataobj),
        "sform_code": int(header["sform_code"]) if "sform_code" in header else None,
        "qform_code": int(header["qform_code"]) if "qform_code" in header else None,
        "format": type(image).__name__,
    }
