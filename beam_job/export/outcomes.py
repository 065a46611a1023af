"""The outcome of each caption in an export."""

import json
from dataclasses import dataclass

WRITTEN, UNCHANGED, KEPT, LEFT_OUT, FAILED = "written", "unchanged", "kept", "left_out", "failed"
STAGE = "export"
"""The stage of failures."""


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
