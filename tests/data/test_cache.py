from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data import cache
from bench.data.cache import Recipe, Sample, Skipped, cache_root, cached, verified_caches

N, SIZE = 5, 8


def samples() -> Iterator[Sample]:
    for i in range(N):
        yield np.full((SIZE, SIZE, 3), i, np.uint8), np.full((SIZE, SIZE), i % 2, np.uint8)


def recipe(made: list[int] | None = None, **key: object) -> Recipe:
    """A small recipe that notes in `made` every time it is used."""

    def make() -> Iterator[Sample]:
        if made is not None:
            made.append(1)
        return samples()

    return Recipe(key, tuple("abcde"), (SIZE, SIZE), make)


def folder_of(made: Recipe) -> Path:
    return cache_root() / made.digest


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_CACHE", "/one")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert cache_root() == Path("/one")
    monkeypatch.delenv("BENCH_CACHE")
    assert cache_root() == Path("/two/bench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "bench"


def test_made_once_then_mapped():
    made: list[int] = []
    first, second = (cached(recipe(made)) for _ in range(2))
    assert made == [1]
    assert isinstance(second.images, np.memmap)
    assert first.content == second.content
    assert second.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert second.masks[:, 0, 0].tolist() == [0, 1, 0, 1, 0]


def test_another_key_name_or_size_is_another_cache():
    keys = {
        recipe().digest,
        recipe(border="ignore").digest,
        Recipe({}, tuple("abcdx"), (SIZE, SIZE), samples).digest,
        Recipe({}, tuple("abcde"), (SIZE, SIZE + 1), samples).digest,
    }
    assert len(keys) == 4


def test_another_format_is_another_cache(monkeypatch: pytest.MonkeyPatch):
    before = recipe().digest
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    assert recipe().digest != before


def test_the_description_says_what_is_inside():
    cached(recipe(border="ignore"))
    meta = json.loads((folder_of(recipe(border="ignore")) / "meta.json").read_text("utf-8"))
    assert meta["count"] == N
    assert meta["names"] == list("abcde")
    assert meta["key"] == {"border": "ignore"}


def test_writing_into_the_arrays_stays_in_the_process():
    cached(recipe()).images[:] = 77
    assert cached(recipe()).images.max() == 4


@pytest.mark.parametrize("file", ["images.npy", "masks.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["truncated", "removed"])
def test_a_damaged_cache_is_made_again(file: str, damage: str):
    made: list[int] = []
    content = cached(recipe(made)).content
    path = folder_of(recipe()) / file
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.unlink()
    assert cached(recipe(made)).content == content
    assert made == [1, 1]
    cached(recipe(made))
    assert made == [1, 1]


def test_what_a_killed_process_left_is_cleared():
    cache_root().mkdir(parents=True)
    left = folder_of(recipe()).with_suffix(".part1")
    left.mkdir()
    (left / "images.npy").write_bytes(b"half")
    assert cached(recipe()).images.shape == (N, SIZE, SIZE, 3)
    assert not left.exists()


def test_nothing_is_left_when_making_fails():
    def broken() -> Iterator[Sample]:
        yield from list(samples())[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(Recipe({}, tuple("abcde"), (SIZE, SIZE), broken))
    assert [path.suffix for path in cache_root().iterdir()] == [".lock"]


def test_where_the_cache_cannot_be_written_memory_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    content = cached(recipe()).content
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="cannot be written.*set BENCH_CACHE"):
        found = cached(recipe())
    assert found.content == content
    assert found.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_full_disk_is_no_end(monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write_headers", full)
    with pytest.warns(UserWarning, match="No space left"):
        assert cached(recipe()).images.shape == (N, SIZE, SIZE, 3)
    assert not list(cache_root().glob("*.part*"))


def test_skipped_samples_have_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def some() -> Iterator[Sample | Skipped]:
        for i, sample in enumerate(samples()):
            yield Skipped("broken") if i in (0, 3) else sample

    made = replace(recipe(), samples=some, skips=True)
    found = [cached(made), cached(made)]
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="cannot be written"):
        found.append(cached(made))
    for arrays in found:
        assert arrays.images[:, 0, 0, 0].tolist() == [1, 2, 4]
        assert arrays.masks[:, 0, 0].tolist() == [1, 0, 0]
        assert arrays.skipped == {"a": "broken", "d": "broken"}
        assert arrays.content == found[0].content


def test_a_cache_that_lacks_samples_does_not_serve_who_wants_all():
    def some() -> Iterator[Sample | Skipped]:
        yield Skipped("broken")
        yield from list(samples())[1:]

    cached(replace(recipe(), samples=some, skips=True))
    found = cached(recipe())
    assert (len(found.images), found.skipped) == (N, {})


def test_a_cache_that_is_there_needs_no_lock(monkeypatch: pytest.MonkeyPatch):
    cached(recipe())
    monkeypatch.setattr(cache, "alone", None)
    assert len(cached(recipe()).images) == N


BUILD_SLOWLY = """
import sys, time, warnings
import numpy as np
from bench.data.cache import Recipe, cached

warnings.simplefilter("error")
made = []

def make():
    made.append(1)
    for i in range(5):
        time.sleep(0.1)
        yield np.full((8, 8, 3), i, np.uint8), np.full((8, 8), i % 2, np.uint8)

sys.stdin.readline()
found = cached(Recipe({}, tuple("abcde"), (8, 8), make))
print(len(made), found.content)
"""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(
    number: int, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
):
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    found = cached(recipe())
    assert not [w for w in recwarn if "cannot be written" in str(w.message)]
    assert isinstance(found.images, np.memmap)


def test_without_locks_whoever_is_ready_first_stays(monkeypatch: pytest.MonkeyPatch):
    """Another process fills the cache while this one makes the samples."""
    monkeypatch.setattr(cache, "alone", lambda _: nullcontext(False))
    folders = []

    def late() -> Iterator[Sample]:
        cached(recipe())
        folders.append(next(cache_root().glob("*/meta.json")).stat().st_ino)
        yield from recipe().samples()

    found = cached(replace(recipe(), samples=late))
    assert found.content == cached(recipe()).content
    assert [path.stat().st_ino for path in cache_root().glob("*/meta.json")] == folders
    assert not list(cache_root().glob("*.part*"))


def test_two_processes_that_build_at_once_both_end_well():
    command = [sys.executable, "-c", BUILD_SLOWLY]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    results = sorted(process.communicate(timeout=60)[0].split() for process in both)
    content = cached(recipe()).content
    assert results == [["0", content], ["1", content]]


# Verified once per run


def invert(name: str = "masks.npy") -> None:
    """Change a cache's array behind its back."""
    array = np.load(folder_of(recipe()) / name, mmap_mode="r+")
    array[:] = 1 - array
    array.flush()


@pytest.mark.parametrize("name", ["masks.npy", "images.npy"])
def test_a_changed_cache_is_found_and_made_again(name: str):
    made: list[int] = []
    sound = cached(recipe(made))
    invert(name)
    with verified_caches(), pytest.warns(UserWarning, match="are not those that were written"):
        found = cached(recipe(made))
    assert made == [1, 1]
    assert found.content == sound.content
    assert np.array_equal(found.masks, np.stack([mask for _, mask in samples()]))
    with verified_caches():
        cached(recipe(made))
    assert made == [1, 1]


def test_outside_of_verification_a_cache_is_not_hashed_again():
    made: list[int] = []
    cached(recipe(made))
    invert()
    cached(recipe(made))
    assert made == [1]


def test_a_cache_without_masks_is_verified_too():
    plain = Recipe(
        {}, tuple("abcde"), (SIZE, SIZE), lambda: (s[:1] for s in samples()), masks=False
    )
    cached(plain)
    with verified_caches():
        assert cached(plain).masks is None
