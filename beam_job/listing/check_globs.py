"""Globs that name no image: found before a run starts, each with the likely reason."""

import os
import unicodedata
from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Literal

from beam_job.listing.bucket import exists, objects
from beam_job.listing.globs import CannotList, matches
from beam_job.listing.left_out import LeaveOut
from beam_job.messages.quoting import shown

_SHOWN = 300  # characters of a path in a message
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


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
        if _is_folder(glob) and not (glob.endswith("/") and _missing(glob)):
            images, below = (shown(f"{glob.rstrip('/')}/{names}", _SHOWN) for names in ("*.jpg", "**.jpg"))
            return f"{option}: is a folder; write '{images}', or '{below}' to include its subfolders."
        other = _other_form(glob, leave_out)
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
    if missing := _missing(glob):
        return f"{option}: no image matches; {shown(missing, _SHOWN)} does not exist."
    return f"{option}: no image matches."


def _is_folder(glob: str) -> bool:
    if not glob.startswith("gs://"):
        return glob.endswith("/") or os.path.isdir(os.path.expanduser(glob))
    bucket, _, name = glob.removeprefix("gs://").rstrip("/").partition("/")
    return glob.endswith("/") or next(objects(bucket, f"{name}/" if name else ""), None) is not None


def _missing(glob: str) -> str:
    """The first file or folder that a glob names before its wildcards and that does not exist; otherwise nothing."""
    names = list(takewhile(lambda name: not set(name) & set("*?[{"), glob.rstrip("/").split("/")))
    if not names or ".." in names:  # globs resolve .. by name: what stands before it need not exist
        return ""
    paths = list(accumulate(names, lambda path, name: f"{path}/{name}"))
    try:
        if _is_there(paths[-1]):
            return ""
        return next((path for path in paths if path and not _is_there(path)), "")
    except Exception:  # an account may list the folder, and not those above it
        return ""


def _is_there(path: str) -> bool:
    """Whether there is a file or folder of that name, in any Unicode form."""
    forms = dict.fromkeys([path, *(unicodedata.normalize(form, path) for form in _FORMS)])
    if not path.startswith("gs:"):
        return any(os.path.lexists(form) or os.path.lexists(os.path.expanduser(form)) for form in forms)
    bucket, *_ = path.split("/")[2:] or [""]
    names = [form.split("/")[3:] for form in forms]
    return not any(names) or any(exists(bucket, name, last) for name in names for last in (False, True))


def _other_form(glob: str, leave_out: LeaveOut) -> str:
    """The Unicode form, NFC or NFD, in which a glob names an image."""
    for form in _FORMS:
        other = unicodedata.normalize(form, glob)
        if other != glob and any(isinstance(found, str) for found in matches(other, leave_out)):
            return form
    return ""
