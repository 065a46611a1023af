"""Which runner ``--runner`` means: Beam accepts its name in any case, without ``Runner``, or the path of its class."""

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions

from beam_job.messages.quoting import shown
from beam_job.terminal.arguments import OptionError

_DIRECT = ("DirectRunner", "SwitchingDirectRunner", "TestDirectRunner")
_LOCAL = (*_DIRECT, "BundleBasedDirectRunner", "FnApiRunner")


def is_dataflow(options: PipelineOptions) -> bool:
    return _name(options) == "DataflowRunner"


def is_local(options: PipelineOptions) -> bool:
    """Whether the job computes on this machine; other runners' workers look at their own devices."""
    return _name(options) in _LOCAL


def check_runner(options: PipelineOptions) -> None:
    """Raises ``OptionError`` if there is no such runner; the path of a class is looked for by Beam alone."""
    name = _name(options)
    given = options.view_as(StandardOptions).runner or name
    if "." not in given and name not in StandardOptions.KNOWN_RUNNER_NAMES:
        known = ", ".join(sorted(StandardOptions.KNOWN_RUNNER_NAMES))
        raise OptionError(f"--runner {shown(given, 40)}: there is no such runner; choose one of {known}.")


def keep_direct(options: PipelineOptions) -> None:
    """Keeps DirectRunner in this process.

    Otherwise it would first look for Prism, which is downloaded, and would run a job that failed there a second time.
    """
    if _name(options) in _DIRECT:
        options.view_as(TypeOptions).allow_unsafe_triggers = True


def _name(options: PipelineOptions) -> str:
    """The name of the runner's class, found as ``apache_beam.runners.create_runner`` finds it."""
    given = options.view_as(StandardOptions).runner or StandardOptions.DEFAULT_RUNNER
    known = {name.lower(): name for name in StandardOptions.KNOWN_RUNNER_NAMES}
    return known.get(given.lower()) or known.get(f"{given.lower()}runner") or given.rpartition(".")[2]
