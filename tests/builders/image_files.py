"""Small pictures in files, as data sets have them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.masks import Labels
from bench.data.sample_files import Reading

LABELS = Labels({0: 0, 1: 1}, "expected 0 or 1")


def saved(path: Path, pixels: Any, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def reading(root: Path, **changes: Any) -> Reading:
    return Reading(root, **({"size": (8, 8)} | changes))


def png(path: Path, width: int, height: int, row: bytes = b"\0", bits: int = 8) -> Path:
    """A grey PNG by hand, which need not have the pixels that it promises."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )
    return path
