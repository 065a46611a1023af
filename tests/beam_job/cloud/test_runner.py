"""Which runner is meant, however it is written; the real Beam says which one it takes."""

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions
from apache_beam.runners import create_runner

from beam_job.cloud.runner import check_runner, is_dataflow, is_local, keep_direct
from beam_job.terminal.arguments import OptionError


def traits(options):
    check_runner(options)
    keep_direct(options)
    return is_local(options), options.view_as(TypeOptions).allow_unsafe_triggers, is_dataflow(options)


def test_without_a_runner_it_is_the_direct_one():
    assert StandardOptions.DEFAULT_RUNNER == "DirectRunner"
    assert traits(PipelineOptions([])) == (True, True, False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("apache_beam.runners.direct.direct_runner.DirectRunner", (True, True, False)),
        ("apache_beam.runners.direct.direct_runner.SwitchingDirectRunner", (True, True, False)),
        ("apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner", (True, False, False)),
        ("apache_beam.runners.portability.fn_api_runner.FnApiRunner", (True, False, False)),
        ("apache_beam.runners.portability.prism_runner.PrismRunner", (False, False, False)),
        ("apache_beam.runners.dataflow.dataflow_runner.DataflowRunner", (False, False, True)),
    ],
)
def test_every_way_to_write_a_runner_means_the_same(path, expected):
    name = path.rpartition(".")[2]
    short = name.removesuffix("Runner")
    for written in (path, name, name.lower(), name.upper(), short, short.lower()):
        assert type(create_runner(written)) is type(create_runner(path))
        assert traits(PipelineOptions([f"--runner={written}"])) == expected, written


def test_a_class_of_someone_elses():
    assert traits(PipelineOptions(["--runner=their.runners.Grid"])) == (False, False, False)


def test_a_runner_that_there_is_not_is_refused():
    with pytest.raises(
        OptionError, match=r"^--runner drect: there is no such runner; choose one of .*DirectRunner, .*\.$"
    ):
        check_runner(PipelineOptions(["--runner=drect"]))
