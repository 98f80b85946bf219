"""A first pass over GIFTI: nibabel loads such files whole, so their XML is looked through before."""

from __future__ import annotations

import base64
import gzip
import zlib
from pathlib import Path
from typing import IO, Any, cast
from xml.parsers import expat

from brainenc.core.checks import human_bytes
from brainenc.core.errors import DataError
from brainenc.io.paths import memory_budget, read_errors

_CHUNK = 2**18
_ITEM_BYTES = {"NIFTI_TYPE_UINT8": 1, "NIFTI_TYPE_INT8": 1, "NIFTI_TYPE_INT16": 2, "NIFTI_TYPE_UINT16": 2, "NIFTI_TYPE_FLOAT64": 8}


def check_gifti(path: Path, max_bytes: str | int | None = None) -> None:
    """Raise `DataError` when a GIFTI file names other files, defines entities, or holds more than it declares or than allowed."""
    budget = memory_budget(max_bytes)
    with read_errors(path), open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = cast("IO[bytes]", gzip.open(raw)) if packed else raw
        scan = _Scan(path, budget)
        read = 0
        while chunk := stream.read(_CHUNK):
            read += len(chunk)
            if read > budget:
                raise DataError("file is larger than the memory allowed", where=path, expected=human_bytes(budget))
            scan.parser.Parse(chunk, False)
        scan.parser.Parse(b"", True)


class _Scan:
    """Counts what every DataArray declares, and inflates compressed ones piecewise up to that size."""

    def __init__(self, path: Path, budget: int) -> None:
        self.path, self.budget, self.total = path, budget, 0
        self.in_data = False
        self.left = 0
        self.text = b""
        self.engine: Any = None
        self.compressed = False
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.EntityDeclHandler = self.entity

    def entity(self, *_: Any) -> None:
        raise DataError("XML file defines entities", where=self.path)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "DataArray":
            self.declare(attributes)
        elif name == "Data":
            self.in_data, self.text = True, b""
            self.engine = zlib.decompressobj()

    def declare(self, attributes: dict[str, str]) -> None:
        encoding = attributes.get("Encoding", "")
        if "External" in encoding or attributes.get("ExternalFileName"):
            raise DataError("GIFTI file names another file", where=self.path, got=repr(attributes.get("ExternalFileName", "")))
        self.compressed = encoding in ("GZipBase64Binary", "B64GZ")
        self.left = _ITEM_BYTES.get(attributes.get("DataType", ""), 4)
        for axis in range(int(attributes.get("Dimensionality", "1"))):
            n = int(attributes.get(f"Dim{axis}", "0"))
            if n < 0:
                raise DataError("GIFTI array declares a negative size", where=self.path)
            self.left *= n
        self.total += self.left
        if self.total > self.budget:
            raise DataError(
                "GIFTI file declares more than the memory allowed", where=self.path,
                expected=f"at most {human_bytes(self.budget)}", got=human_bytes(self.total),
            )  # fmt: skip

    def characters(self, text: str) -> None:
        if not (self.in_data and self.compressed):
            return
        self.text += "".join(text.split()).encode()
        whole = len(self.text) // 4 * 4
        packed, self.text = base64.b64decode(self.text[:whole], validate=True), self.text[whole:]
        while packed and not self.engine.eof:
            self.left -= len(self.engine.decompress(packed, 2**20))
            packed = self.engine.unconsumed_tail
            if self.left < 0:
                raise DataError("GIFTI array inflates to more than it declares", where=self.path)

    def end(self, name: str) -> None:
        if name == "Data":
            if self.compressed and self.left > 0:
                raise DataError("GIFTI array is shorter than it declares", where=self.path)
            self.in_data = False
