"""What runs left in a folder: their counts, and the number and sizes of their files."""

from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.runs.folder import CAPTIONS, FAILURES, RunFolder, open_run_folder, run_folders


def runs(output: str) -> list[RunFolder]:
    """The runs of a folder, oldest first."""
    return [open_run_folder(folder) for folder in run_folders(output)]


def books(output: str) -> dict[str, Any]:
    """Counts of the newest run, whether it finished, and the files of all runs by kind.

    Of each kind: how many files count, how many there are, their bytes, the smallest and the largest.
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
            **{"files": len(sizes), "others": len(there) - len(sizes), "bytes": sum(sizes)},
            **{"smallest": min(sizes, default=0), "largest": max(sizes, default=0)},
        }
    return says
