"""The classifier of an encoder."""

import numpy as np

from beam_job.model.answer.labels import Labels
from train.models.classifier import Classifier

SMALL = Classifier(
    np.arange(6, dtype=np.float32).reshape(3, 2),
    np.ones([2, 2], np.float32),
    np.zeros(2, np.float32),
    Labels(("tabby", "espresso"), (("cat",), ())),
)


def test_everything_counts_in_the_digest() -> None:
    others = [
        SMALL,
        SMALL._replace(down=2 * SMALL.down),
        SMALL._replace(down=SMALL.down.reshape(2, 3)),
        SMALL._replace(up=2 * SMALL.up),
        SMALL._replace(bias=SMALL.bias + 1),
        SMALL._replace(labels=Labels(("tabby", "espresso"), (("cat",), ("coffee",)))),
    ]
    assert len({other.digest for other in others}) == len(others)
    assert SMALL.digest == SMALL._replace(up=SMALL.up.copy()).digest
