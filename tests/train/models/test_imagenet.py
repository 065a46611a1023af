"""The classes of ImageNet: as many as its classifiers have, in their order."""

from train.models.imagenet import imagenet_labels


def test_the_classes_of_imagenet() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert (labels.names[0], labels.names[999]) == ("tench", "toilet paper")
    found = dict(zip(labels.names, labels.words, strict=True))
    assert {"cat", "kitten"} <= {*found["Egyptian cat"]}
    assert labels.names.index("Egyptian cat") == 285
    assert "coffee" in found["espresso"]
