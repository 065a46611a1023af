"""What a pipeline cannot read of earlier runs: a warning names it, and an output of its own counts it."""

import logging

from apache_beam.pvalue import TaggedOutput

PASSED_OVER = "passed_over"
"""The output: numbers of lines and files."""


def passed_over(problem: str, number: int = 1) -> TaggedOutput:
    """Names a run, a file or lines in it, with the reason, and counts as many."""
    logging.warning("Passed over: %s", problem)
    return TaggedOutput(PASSED_OVER, number)
