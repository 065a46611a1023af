"""What runs left in a folder: their counts, and the number and sizes of their files."""

from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.runs.digest import digest64
from beam_job.runs.folder import CAPTIONS, FAILURES, RunFolder, open_run_folder, run_folders
from beam_job.runs.record_file import RecordFile, is_caption


def runs(output: str) -> list[RunFolder]:
    """The runs of a folder, oldest first."""
    return [open_run_folder(folder) for folder in run_folders(output)]


def books(output: str) -> dict[str, Any]:
    """Counts of the newest run, whether it finished, and the files of all runs by kind.

    Of each kind: how many files count, how many of them the newest run has, how many others there are, the bytes of
    those that count, and of the smallest and the largest.
    """
    found = runs(output)
    says: dict[str, Any] = {"runs": len(found), "finished": found[-1].finished, "counts": found[-1].about.get("counts")}
    for kind in (CAPTIONS, FAILURES):
        there = {
            file.path: file.size_in_bytes
            for run in found
            for file in FileSystems.match([f"{run.directory}/{kind}-*"])[0].metadata_list
        }
        sizes = [there[path] for run in found for path in run.files(kind) if path in there]
        says[kind] = {
            **{"files": len(sizes), "of_newest": len(found[-1].files(kind))},
            **{"others": len(there) - len(sizes), "bytes": sum(sizes)},
            **{"smallest": min(sizes, default=0), "largest": max(sizes, default=0)},
        }
    return says


def captioned(output: str) -> dict[str, int]:
    """How many images have captions in the files that count, and how many captions are beyond the first of an image."""
    images, records = set[int](), 0
    for path in (path for run in runs(output) for path in run.files(CAPTIONS)):
        for record in RecordFile(path, is_caption):
            images.add(digest64(record["uri"]))
            records += 1
    return {"images": len(images), "repeated": records - len(images)}
