"""Globs that name no image: found before a run starts, each with the likely reason."""

import os
import unicodedata
from collections.abc import Sequence
from itertools import accumulate, takewhile

from beam_job.listing.bucket import exists, objects
from beam_job.listing.globs import CannotList, matches
from beam_job.listing.left_out import LeaveOut
from beam_job.messages.quoting import shown

_SHOWN = 300  # characters of a path in a message


def check_images(globs: Sequence[str], leave_out: LeaveOut = LeaveOut()) -> list[str]:
    """Returns a sentence for each glob that names no image; raises ``ValueError`` where none names one."""
    problems = [problem for glob in globs if (problem := _check(glob, leave_out))]
    if problems and len(problems) == len(globs):
        raise ValueError(problems[0])
    return problems


def _check(glob: str, leave_out: LeaveOut) -> str:
    """Why a glob names no image; nothing where it names one, and then only the first is looked for."""
    option = f"--images {shown(glob, _SHOWN)}"
    scheme, separator, _ = glob.partition("://")
    if separator and scheme != "gs":
        raise ValueError(f"{option}: globs work on gs:// and local disks only; list other images with --uris.")
    left_out, unlisted = 0, None
    try:
        for found in matches(glob, leave_out):
            if isinstance(found, str):
                return ""
            if isinstance(found, CannotList):
                unlisted = unlisted or found
            else:
                left_out += 1
        if _is_folder(glob):
            images, below = (shown(f"{glob.rstrip('/')}/{names}", _SHOWN) for names in ("*.jpg", "**.jpg"))
            return f"{option}: is a folder; write '{images}', or '{below}' to include its subfolders."
        other = _other_form(glob, leave_out)
        missing = _missing(glob)
    except Exception as error:  # storage, credentials and networks raise what they like
        raise ValueError(f"{option}: cannot be listed: {str(error).rstrip('.')}.") from error
    if unlisted:
        place = shown(unlisted.place, _SHOWN)
        return f"{option}: no image matches in the folders that can be listed. {place}: {unlisted.message}"
    if left_out:
        return (
            f"{option}: no image matches; files and folders left out: {left_out} (hidden or excluded ones, recycle "
            "bins and the like, pipes and devices, the output folder). --include_hidden includes hidden ones."
        )
    if other:
        return (
            f"{option}: no image matches as written, but one does in another Unicode form of the same text ({other}); "
            "write * in place of accented letters, or let the shell complete the name."
        )
    if missing:
        return f"{option}: no image matches; {shown(missing, _SHOWN)} does not exist."
    return f"{option}: no image matches."


def _is_folder(glob: str) -> bool:
    if not glob.startswith("gs://"):
        return glob.endswith("/") or os.path.isdir(os.path.expanduser(glob))
    bucket, _, name = glob.removeprefix("gs://").rstrip("/").partition("/")
    return glob.endswith("/") or next(objects(bucket, f"{name}/" if name else ""), None) is not None


def _missing(glob: str) -> str:
    """The first file or folder that a glob names before its wildcards and that does not exist; otherwise nothing."""
    names = takewhile(lambda name: not set(name) & set("*?[{"), glob.split("/"))
    paths = accumulate(names, lambda path, name: f"{path}/{name}")
    return next((path for path in paths if path and not _is_there(path)), "")


def _is_there(path: str) -> bool:
    if not path.startswith("gs:"):
        return os.path.lexists(path) or os.path.lexists(os.path.expanduser(path))
    bucket, *names = path.split("/")[2:] or [""]
    return not names or exists(bucket, names, last=False) or exists(bucket, names, last=True)


def _other_form(glob: str, leave_out: LeaveOut) -> str:
    """The Unicode form, NFC or NFD, in which a glob names an image."""
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, glob)
        if other != glob and any(isinstance(found, str) for found in matches(other, leave_out)):
            return form
    return ""
