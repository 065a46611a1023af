"""Which of the known images changed, as their storage says when it is asked."""

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from beam_job.images.fetch import Fetcher, FetchLimits
from beam_job.runs.earlier.recheck import Recheck


def test_images_of_another_version_and_those_that_cannot_be_asked_for_changed(tmp_path):
    same, other, gone = (str(tmp_path / name) for name in ("same.jpg", "other.jpg", "gone.jpg"))
    for path in (same, other):
        with open(path, "w") as file:
            file.write(path)
    version = Fetcher(FetchLimits()).version
    rows = [
        (same, {"id": 1}, "earlier", version(same), ["A cat."]),
        (other, {"id": 2}, "earlier", "of another day", ["A dog."]),
        (gone, None, "earlier", "of another day", []),
        ("https://example.org/a.jpg", None, "earlier", "of another day", []),
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = pipeline | beam.Create(rows) | Recheck(FetchLimits(), 2)
        changed = [(other, {"id": 2}, "earlier", version(other), ["A dog."]), (gone, None, "earlier", None, [])]
        assert_that(found.uris, equal_to(changed), label="uris")
        sums = found.counts | beam.CombineGlobally(lambda counts: [sum(each) for each in zip(*counts, strict=True)])
        assert_that(sums | beam.Map(lambda counts: counts[1]), equal_to([2]), label="counts")
