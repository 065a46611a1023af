"""Which of the known images changed, as their storage says when it is asked."""

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from beam_job.images.fetch import Fetcher, FetchLimits
from beam_job.records import Failure
from beam_job.runs.earlier.recheck import Recheck
from beam_job.runs.earlier.take import CAPTIONED, TakeNew

version = Fetcher(FetchLimits()).version


def images(folder):
    """The paths of two files and of one that is not there."""
    paths = [folder / name for name in ("same.jpg", "other.jpg", "absent.jpg")]
    for path in paths[:2]:
        path.write_text(path.name)
    return [str(path) for path in paths]


def test_images_of_another_version_and_those_that_cannot_be_asked_for_changed(tmp_path):
    same, other, gone = images(tmp_path)
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


def test_what_changed_is_left_to_do_and_the_rest_is_skipped(tmp_path):
    same, other, new = images(tmp_path)
    versions = {same: version(same), other: "of another day"}
    known = [(uri, (CAPTIONED, "1", captioned, "ab", "1.jsonl", 5, 9)) for uri, captioned in versions.items()]
    failures = [Failure("list.csv#3", "list", "bad_row", "no URI")]
    with beam.Pipeline("FnApiRunner") as pipeline:
        listed = pipeline | "Listed" >> beam.Create([(uri, None) for uri in (same, other, new, new)])
        failed, earlier = pipeline | "Failed" >> beam.Create(failures), pipeline | "Known" >> beam.Create(known)
        found = (listed, failed, earlier) | TakeNew(Recheck(FetchLimits(), 2))
        uris = [(new, None, None), (other, None, None, version(other), (("ab", "1.jsonl", 5, 9),))]
        assert_that(found.uris, equal_to(uris), label="uris")
        assert_that(found.failures, equal_to(failures), label="failures")
        sums = found.counts | beam.CombineGlobally(lambda counts: [sum(each) for each in zip(*counts, strict=True)])
        assert_that(sums, equal_to([[1, 1, 0]]), label="counts")
        assert_that(found.renamed, equal_to([]), label="renamed")
