"""The schedules that run_dataflow.sh takes: those that Cloud Scheduler documents."""

import pytest

from tests.script_shell import Shell

SCHEDULE = ["schedule", "--scheduler_account=nightly@p.iam.gserviceaccount.com"]
JOB = ["--", "--images", "gs://photos/*.jpg", "--output=gs://photos/captions"]


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("61 25 * * *", "61 is no minute; choose from 0-59"),
        ("0 25 * * *", "25 is no hour; choose from 0-23"),
        ("0 2 1-32 * *", "1-32 is no day of the month; choose from 1-31"),
        ("0 2 L * *", "L is no day of the month"),
        ("0 2 * 1,13 *", "1,13 is no month; choose from 1-12 or JAN-DEC"),
        ("0 2 * * 8", "8 is no weekday; choose from 0-7 or SUN-SAT"),
        ("0 2 * * MAY", "MAY is no weekday"),
        ("*/0 2 * * *", "*/0 is no minute"),
        ("0 2 * * 1,5-1", "5-1 is no range of the weekday; put the lower end first"),
        ("0 2 * *", "give five fields"),
    ],
)
def test_fields_have_their_ranges(tmp_path, cron, message):
    assert f"--cron {cron}: {message}" in Shell(tmp_path).refusal(*SCHEDULE, f"--cron={cron}", *JOB)


@pytest.mark.parametrize("cron", ["*/15 0-23/2 1,15,31 JAN-MAR,12 MON-FRI", "59 23 31 12 7", "05 08-09 * * 0"])
def test_schedules_of_cloud_scheduler(tmp_path, cron):
    assert f"--schedule={cron}" in Shell(tmp_path)(*SCHEDULE, f"--cron={cron}", *JOB).last
