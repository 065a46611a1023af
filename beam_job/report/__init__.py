"""The report: one self-contained page that shows how runs went and which captions to check.

python -m beam_job.report DIR            # writes DIR/report.html, about the current caption of each image
python -m beam_job.report DIR/run=<id>   # about one run
python -m beam_job.report DIR --compare OTHER --to changes.html
"""

from beam_job.report.run_records import ReportError
from beam_job.report.write import write_report

__all__ = ["ReportError", "write_report"]
