"""The outcome of each caption in an export."""

import json
from dataclasses import dataclass

WRITTEN, UNCHANGED, KEPT, LEFT_OUT, FAILED = "written", "unchanged", "kept", "left_out", "failed"
STAGE = "export"
"""The stage of failures."""

ERRORS = {
    "bad_uri": "The image's URI is not valid, or the sidecar would be the image itself.",
    "conflict": "Two images would share one sidecar.",
    "not_found": "The image no longer exists, so no sidecar is written.",
    "not_a_file": "The sidecar's path is a folder or something else that is not a file.",
    "permission_denied": "This account has no permission to read or write the sidecar.",
    "cannot_access": "The disk or the bucket reports an error while the sidecar is read or written.",
    "unavailable": "Cloud Storage cannot be reached.",
    "changed_meanwhile": "Another program changed the sidecar during the export. It was not overwritten.",
    "too_large": "The sidecar is larger than 16 MiB, or has more than 10,000 properties.",
    "encoding": "The sidecar is not text in the encoding that it declares.",
    "broken": "The sidecar is not well-formed XML.",
    "doctype": "The sidecar has a document type declaration, which is not supported.",
    "not_xmp": "The sidecar is XML but not XMP.",
    "cannot_merge": "The sidecar has a structure that cannot be changed and restored safely.",
    "cannot_undo": "The sidecar's property captioner:was_..., which contains replaced text, is damaged.",
}
"""The codes of sidecars that cannot be written, and what they mean. None of these sidecars is touched."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one caption: WRITTEN, UNCHANGED, KEPT, LEFT_OUT or FAILED.

    Attributes:
      sidecar: the file, if there is one.
      code: a stable code of the failure, or the reason why the caption was left out.
      message: a sentence about the failure.
      caption: the text that was written or would be.
    """

    what: str
    uri: str
    sidecar: str | None = None
    code: str | None = None
    message: str = ""
    caption: str = ""

    @property
    def summary_keys(self) -> tuple[str, ...]:
        """The keys under which the manifest counts a failure."""
        return (f"{STAGE}/{self.code}",)

    def to_json(self, export: str) -> str:
        """A failure's record; ``export`` is the id of its export."""
        found = {"uri": self.uri, "stage": STAGE, "error": self.code, "message": self.message}
        return json.dumps({**found, "sidecar": self.sidecar, "export": export}, ensure_ascii=False)
