"""The feature cache: what it holds, that it goes on after an interruption, and that a stale one is never used."""

import os
import resource
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beam_job.images.pixels.formats import heif
from tests.images import heic
from tests.train.tiny_encoder import tiny_encoder
from train.data.features import CacheError, FeatureCache
from train.models.encoders import Encoder

SIZE = 16


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(10)]
    for file in files:
        Image.fromarray(random.integers(256, size=(SIZE, SIZE, 3), dtype=np.uint8)).save(file)
    return files


def test_features_are_those_of_the_image_and_its_mirror(tmp_path: Path, images: list[Path]) -> None:
    encoder = tiny_encoder(SIZE)
    cache = FeatureCache(tmp_path / "cache", encoder, images, flip=True)
    done: list[int] = []
    cache.fill(batch_size=4, report=done.append)
    assert done == [4, 8, 10]
    assert cache.shape == (10, 2, 4, 5)
    assert cache.missing_bytes == 0
    for index, file in enumerate(images):
        pixels = np.asarray(Image.open(file), np.float32)
        for view, seen in enumerate((pixels, pixels[:, ::-1])):
            np.testing.assert_allclose(cache[index, view], encoder.model(seen[None])[0], atol=2e-3)
    assert (cache.directory / "features.f16").stat().st_size == 10 * 2 * 4 * 5 * 2


@pytest.mark.parametrize("flip", [False, True])
def test_corners_are_cut_out_of_a_larger_decoding(tmp_path: Path, images: list[Path], flip: bool) -> None:
    encoder = tiny_encoder(SIZE)
    cache = FeatureCache(tmp_path / "cache", encoder, images, flip=flip, corner_crops=True)
    cache.fill()
    assert cache.shape == (10, 5 + flip, 4, 5)
    larger = np.asarray(Image.open(images[7]).resize((18, 18), Image.Resampling.BILINEAR), np.float32)
    corners = [larger[:16, :16], larger[:16, 2:], larger[2:, :16], larger[2:, 2:]]
    if flip:
        corners[1:3] = [corner[:, ::-1] for corner in corners[1:3]]
    for number, corner in enumerate(corners):
        np.testing.assert_allclose(cache[7, 1 + flip + number], encoder.model(corner[None])[0], atol=2e-3)


def test_broken_and_missing_images_are_named(tmp_path: Path, images: list[Path]) -> None:
    images[3].write_bytes(b"no image")
    images[5].unlink()
    cache = FeatureCache(tmp_path / "cache", tiny_encoder(SIZE), images)
    cache.fill(batch_size=4)
    again = FeatureCache(tmp_path / "cache", tiny_encoder(SIZE), images)
    assert sorted(again.broken) == [3, 5]
    assert not np.any(again[3, 0])
    assert np.any(again[4, 0])


@pytest.mark.parametrize("filled", [4, 10])
def test_images_that_could_not_be_read_are_tried_again(
    filled: int, tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo of a phone, whose decoder is installed only after the first run."""
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    images[2].write_bytes(heic().data)
    images[3].write_bytes(b"no image")

    def stop(done: int) -> None:
        if done == filled:
            raise KeyboardInterrupt

    def open_cache(name: str = "cache") -> FeatureCache:
        return FeatureCache(tmp_path / name, tiny_encoder(SIZE), images)

    monkeypatch.setattr(heif, "pillow_heif", None)
    with pytest.raises(KeyboardInterrupt):
        open_cache().fill(batch_size=4, report=stop)
    monkeypatch.undo()
    again, done = open_cache(), list[int]()
    assert sorted(again.broken) == [2, 3]
    assert "pip install pillow-heif" in again.broken[2]
    again.fill(batch_size=4, report=done.append)
    assert done == {4: [4, 8, 10], 10: [10]}[filled]
    whole = open_cache("other")
    whole.fill(batch_size=4)
    for cache in (again, open_cache()):
        assert sorted(cache.broken) == [3]
        for index in range(10):
            np.testing.assert_allclose(cache[index, 0], whole[index, 0], atol=2e-3)
    assert np.any(whole[2, 0])


def test_an_interrupted_cache_goes_on(tmp_path: Path, images: list[Path]) -> None:
    def interrupt(done: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    cache = FeatureCache(tmp_path / "cache", tiny_encoder(SIZE), images)
    with pytest.raises(KeyboardInterrupt):
        cache.fill(batch_size=4, report=interrupt)
    with pytest.raises(IndexError, match="4 of 10"):
        cache[4, 0]
    again = FeatureCache(tmp_path / "cache", tiny_encoder(SIZE), images)
    done: list[int] = []
    again.fill(batch_size=4, report=done.append)
    assert done == [8, 10]
    whole = FeatureCache(tmp_path / "other", tiny_encoder(SIZE), images)
    whole.fill(batch_size=4)
    for index in range(10):
        np.testing.assert_array_equal(again[index, 0], whole[index, 0])


def test_other_weights_views_or_files_are_another_cache(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def directory(encoder: Encoder, flip: bool = False) -> Path:
        return FeatureCache(tmp_path / "cache", encoder, images, flip=flip).directory

    first = directory(tiny_encoder(SIZE))
    assert directory(tiny_encoder(SIZE)) == first
    assert directory(tiny_encoder(SIZE, seed=1)) != first
    assert directory(tiny_encoder(SIZE), flip=True) != first
    monkeypatch.chdir(tmp_path)
    here = [Path("..") / tmp_path.name / file.name for file in images]
    assert FeatureCache("cache", tiny_encoder(SIZE), here).directory.name == first.name
    copies = [Path(shutil.copy(file, tmp_path / f"copy-{file.name}")) for file in images]
    os.utime(copies[0], (1, 1))
    assert FeatureCache(tmp_path / "cache", tiny_encoder(SIZE), copies).directory == first
    assert FeatureCache(tmp_path / "cache", tiny_encoder(SIZE), copies[::-1]).directory != first
    before = images[0].stat()
    content = images[0].read_bytes()
    images[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(images[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert directory(tiny_encoder(SIZE)) != first


def test_a_full_disk_is_refused_before_any_work(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path / "cache", tiny_encoder(SIZE), images)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 0))
    with pytest.raises(CacheError, match="10 images"):
        cache.fill()


def test_features_of_which_only_a_part_is_written_are_not_done(tmp_path: Path, images: list[Path]) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    encoder = tiny_encoder(SIZE)
    cache = FeatureCache(tmp_path / "cache", encoder, images)
    features = cache.directory / "features.f16"

    def let_half_a_batch_in(done: int) -> None:
        size = features.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * 3 // 2, limits[1]))

    try:
        with pytest.raises(CacheError, match="can't be written"):
            cache.fill(batch_size=4, report=let_half_a_batch_in)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert features.stat().st_size == 6 * 4 * 5 * 2
    again = FeatureCache(tmp_path / "cache", encoder, images)
    assert again.missing == 6
    again.fill(batch_size=4)
    assert all(np.any(again[index, 0]) for index in range(10))
