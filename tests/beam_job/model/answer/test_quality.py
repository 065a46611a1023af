"""The expected quality of captions: the file, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from beam_job.model.answer.quality import NUMBERS, Context, Quality, numbers_of

WORDS = 6
CONTEXT = Context(-0.75, named=0.5)


def quality(**changed: np.ndarray) -> Quality:
    parts = {"bias": np.array([0.5]), "numbers": np.zeros(len(NUMBERS)), "words": np.zeros(WORDS)}
    parts |= {"probable": np.zeros(WORDS)} | changed
    return Quality(**{name: part.astype(np.float32) for name, part in parts.items()})


def test_each_part_counts() -> None:
    ids, log_probs = np.array([4, 5, 4]), np.log([0.5, 0.25, 1.0]).astype(np.float32)

    def of(**changed: np.ndarray) -> float:
        return float(np.log(quality(**changed).of(ids, log_probs, CONTEXT) + 0.1))

    rising = np.arange(WORDS)
    assert of() == pytest.approx(0.5)
    assert of(words=rising) == pytest.approx(0.5 + 4 + 5 + 4)
    assert of(probable=rising) == pytest.approx(0.5 + 4 * 0.5 + 5 * 0.25 + 4 * 1.0)
    assert of(numbers=np.array([0, 0, 0, 2, 0, 0])) == pytest.approx(0.5 + 2 * 3)  # the number of tokens
    assert of(numbers=np.array([0, 0, 0, 0, 1, 2])) == pytest.approx(0.5 - 0.75 + 2 * 0.5)


def test_a_file_of_an_earlier_release_has_weights_of_the_cider_itself(tmp_path: Path) -> None:
    quality(numbers=np.array([0, 0, 0, 2]), words=np.arange(WORDS)).write(tmp_path / "quality.npz")
    read = Quality.read(tmp_path / "quality.npz")
    assert read.of(np.array([4, 5]), np.zeros(2, np.float32), CONTEXT) == 0.5 + 2 * 2 + 4 + 5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bias", [1e4, 3e38, -3e38])
@pytest.mark.parametrize("numbers", [4, 6])
def test_endless_weights_give_a_quality_that_is_no_number_or_the_least(bias: float, numbers: int) -> None:
    """Nobody reads a warning for each caption."""
    endless = quality(bias=np.array([bias]), numbers=np.zeros(numbers), words=np.full(WORDS, bias))
    found = endless.of(np.array([4, 5]), np.zeros(2, np.float32), CONTEXT)
    if numbers == 6:
        assert found == (np.inf if bias > 0 else -0.1)
    else:
        assert found == (3e4 if bias == 1e4 else np.copysign(np.inf, bias))


def test_the_numbers_of_a_caption() -> None:
    found = dict(zip(NUMBERS, numbers_of(np.array([-0.1, -4.0, -0.2, -2.0], np.float32), CONTEXT), strict=True))
    assert found["mean log-probability"] == pytest.approx(-6.3 / 4)
    assert found["least log-probability"] == -4.0
    assert found["mean of the three least"] == pytest.approx(-6.2 / 3)
    assert found["tokens"] == 4
    assert tuple(found.values())[4:] == CONTEXT
    assert numbers_of(np.array([-1.0], np.float32), Context(-1.0)).tolist() == [-1.0, -1.0, -1.0, 1.0, -1.0, 0.0]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = quality(words=np.arange(WORDS))
    written.write(tmp_path / "quality.npz")
    read = Quality.read(tmp_path / "quality.npz")
    for name in Quality._fields:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"bias": np.array([np.nan])}, "its 'bias' is not a list of finite float32 numbers"),
        ({"words": np.zeros([2, 2])}, "its 'words' is not a list"),
        ({"numbers": np.zeros(2)}, "its parts do not fit each other"),
        ({"probable": np.zeros(WORDS + 1)}, "its parts do not fit each other"),
    ],
)
def test_wrong_parts_are_refused(changed: dict[str, np.ndarray], wrong: str, tmp_path: Path) -> None:
    quality(**changed).write(tmp_path / "quality.npz")
    with pytest.raises(ValueError, match=wrong):
        Quality.read(tmp_path / "quality.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "quality.npz"
    for data in (b"", b"not a zip file", b"PK\x03\x04 damaged"):
        file.write_bytes(data)
        with pytest.raises(ValueError, match="cannot be read"):
            Quality.read(file)
    np.savez(file, bias=np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="cannot be read"):
        Quality.read(file)


def test_huge_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "quality.npz"
    parts = quality()._asdict() | {"words": np.zeros(5_000_000, np.float32)}
    for save in (np.savez, np.savez_compressed):  # 20 MB, and 20 kilobytes that unpack to 20 MB
        save(file, **parts)
        with pytest.raises(ValueError, match=r"it cannot be read \(over 16,777,216 bytes, the limit for this file\)"):
            Quality.read(file)
    assert file.stat().st_size < 100_000
    np.save(tmp_path / "quality.npy", np.zeros(5_000_000, np.float32))
    (tmp_path / "quality.npy").replace(file)
    with pytest.raises(ValueError, match="over 16,777,216 bytes"):
        Quality.read(file)
