"""The report: one self-contained page for a run, to see whether it went well and which captions to check.

python -m beam_job.report DIR            # writes DIR/run=<id>/report.html
python -m beam_job.report DIR --compare OTHER --to changes.html
"""

from beam_job.report.run_records import ReportError
from beam_job.report.write import write_report

__all__ = ["ReportError", "write_report"]
