"""How a run went, in words."""

from beam_job.outcome import reason, say_counts
from beam_job.runs.run import Run

FROM_A_WORKER = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1495, in apache_beam.runners.common.DoFnRunner.process
OSError: [Errno 28] No space left on device

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "beam_job/runs/shards.py", line 1, in write_whole
beam_job.runs.shards.WriteError: cannot write x: No space left on device [while running 'WriteCaptions']
"""


def test_the_reason_is_one_line():
    assert reason(RuntimeError(FROM_A_WORKER)) == "cannot write x: No space left on device"
    assert reason(ValueError("no [while running 'Step']")) == "no"
    assert reason(KeyError()) == "KeyError"
    assert reason(KeyError("x")) == "KeyError: 'x'"
    assert len(reason(OSError("x" * 10_000))) == 1_000


def test_the_counts_name_faults_of_ours(tmp_path, capsys):
    manifest = {
        "counts": {"input": 2, "captioned": 0, "failed": 2, "skipped": 0, "duplicates": 0},
        "seconds": 1,
        "known_failures": 0,
        "passed_over": 0,
        "left_out": 0,
        "changed": 0,
        "touched": 0,
        "failures_by_code": {"decode/corrupt": 1, "fetch/unexpected": 1},
    }
    say_counts(Run(str(tmp_path / "clear\x1b[2J"), "f", {}), manifest)
    summary, corrupt, unexpected = capsys.readouterr().err.splitlines()
    assert "clear\\x1b[2J/run=" in summary
    assert corrupt.endswith("1 failed: decode/corrupt")
    assert unexpected.endswith("1 failed: fetch/unexpected, a bug of ours: please report the logged traceback")
