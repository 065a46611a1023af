"""Values of the export's options."""

from contextlib import nullcontext

import pytest

from beam_job.export import command
from beam_job.export.command import _carried
from beam_job.export.options import parse
from beam_job.runs.current import current_runs
from tests.beam_job.export.archive import run_of


@pytest.mark.parametrize(
    ("given", "message"),
    [
        *(([f"--at_least={share}"], "choose a share, such as 90%") for share in ("101%", "1.5", "-1%", "nan", "%", "")),
        *(([f"--min_score={score}"], "choose a score, such as 0.5") for score in ("-inf", "nan", "inf")),
        (["--max_failures=101%"], "--max_failures 101%: choose a number"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        parse(["captions", "--to", "xmp", *given])


def test_an_export_is_no_classic_template():
    argv = ["captions", "--to=xmp", "--runner=DataflowRunner", "--template_location=gs://bucket/template"]
    with pytest.raises(ValueError, match=r"^--template_location gs://bucket/template: all launches"):
        parse(argv)


@pytest.mark.parametrize(
    ("argv", "named"),
    [(["caf\udce9"], "caf\udce9"), (["captions", "--output=caf\udce9.csv"], "--output caf\udce9.csv")],
)
def test_a_name_that_is_not_utf_8_is_refused_as_one(argv, named):
    """The folder may be there, with runs: Beam cannot name it to workers."""
    with pytest.raises(ValueError, match=f"^{named}: this name is not valid UTF-8. Rename the file or folder.$"):
        parse([*argv, "--to=csv"])


@pytest.mark.parametrize(("value", "on"), [("", True), ("=true", True), ("=True", True), ("=false", False)])
def test_switches_may_have_a_value(monkeypatch, capsys, value, on):
    options, _ = parse(["captions", "--to=xmp", f"--dry_run{value}", f"--no_use_public_ips{value}"])
    assert options.dry_run == on
    with pytest.raises(ValueError, match=r"^--undo=yes: this is a switch; write --undo, --undo=true or"):
        parse(["captions", "--to=xmp", "--undo=yes"])
    told = []
    monkeypatch.setattr(command, "console", lambda verbose: told.append(verbose) or nullcontext())
    assert command.main(["nowhere", "--to=xmp", f"--verbose{value}"]) == 2
    assert "there is no run here" in capsys.readouterr().err
    assert told == [on]


def test_shares_and_scores():
    for share in ("90%", "0.9"):
        options, _ = parse(["captions", "--to", "xmp", f"--at_least={share}", "--min_score=-1.5"])
        assert (options.at_least, options.min_score) == (0.9, -1.5)


def test_carried_fields_whose_names_the_export_uses_have_no_column(tmp_path):
    run_of(tmp_path, ["a.jpg"], carry="verdict,album,source,chance,uri,caption")
    assert _carried(current_runs(str(tmp_path))) == ["album"]
