"""Image files that Pillow cannot write: PNG with 16 bits a colour."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def png16(path: Path, values: np.ndarray[Any, Any], filtered: int = 0) -> Path:
    """(H, W, C) uint16 as PNG; `filtered` 1: with the sub filter, as most writers use some."""
    height, width, channels = values.shape
    rows = np.ascontiguousarray(values, ">u2").view(np.uint8).reshape(height, -1)
    if filtered:
        step = 2 * channels
        before = np.pad(rows, ((0, 0), (step, 0)))[:, : rows.shape[1]]
        rows = rows - before
    data = b"".join(bytes([filtered]) + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )
    return path
