"""The options of the job, in Beam's own style, and all checks before work starts."""

import argparse
import os

from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.devices import BATCH_SIZE
from beam_job.images.fetch import FetchLimits
from beam_job.images.load import Loading
from beam_job.listing.left_out import LeaveOut, Rules, check_places, root_of
from beam_job.listing.rows import Fields
from beam_job.listing.uris import renamed_prefixes
from beam_job.model.decoding import Decoding
from beam_job.records import FIELDS
from beam_job.runs.shards import ShardLimits
from beam_job.terminal.arguments import OptionError

_LOADING = Loading()
_LONGEST_DEADLINE = 86_400  # seconds; the operating system's clocks take no infinite ones
_SHARDS = ShardLimits()


class CaptionOptions(PipelineOptions):
    """Options of the captioning job, in addition to Beam's own options."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        job = parser.add_argument_group("captioning")

        def several(name: str, metavar: str, text: str) -> None:
            job.add_argument(f"--{name}", nargs="+", action="extend", default=[], metavar=metavar, help=text)

        several("images", "GLOB", "Glob patterns of image files.")
        several(
            "exclude",
            "GLOB",
            "Leave out files and folders that match: patterns of names ('*.tmp.jpg') or, with a slash, of paths "
            "('photos/raw/*', 'gs://bucket/raw/*', '**/raw/*.jpg').",
        )
        job.add_argument(
            "--include_hidden",
            action="store_true",
            help="Include files, folders and lists whose names start with a dot.",
        )
        several(
            "uris",
            "LIST",
            "Lists of image URIs, or globs of lists: text with one URI per line, .csv, .tsv or .jsonl; also .gz.",
        )
        job.add_argument(
            "--uri_field",
            default="uri",
            metavar="NAME",
            help="Column or field of a list that holds the URI (default: %(default)s).",
        )
        job.add_argument(
            "--version_field",
            metavar="NAME",
            help="Column or field of the lists that changes with an image's content, such as a generation or a date: "
            "an image whose version differs from that of its caption is captioned again.",
        )
        job.add_argument(
            "--carry",
            type=_names,
            default="",
            metavar="A,B",
            help="Columns or fields of the lists to copy into each record.",
        )
        job.add_argument("--output", metavar="DIR", help="Output directory; each run writes to DIR/run=<id>/.")
        job.add_argument("--model", metavar="DIR", help="An exported model (default: the bundled one).")
        job.add_argument("--batch_size", type=int, default=BATCH_SIZE, help="Images in a batch (default: %(default)s).")
        job.add_argument(
            "--fetch_threads",
            type=int,
            default=Loading.threads,
            help="Images that a worker process fetches at once; it decodes one per core (default: %(default)s).",
        )
        job.add_argument(
            "--recaption",
            action="store_true",
            help="Also caption images that are already captioned in DIR with the same model and decoding options.",
        )
        job.add_argument(
            "--recheck",
            action="store_true",
            help="Query storage for the version of captioned images whose list gives none, and caption changed images.",
        )
        job.add_argument(
            "--rename_from",
            metavar="PREFIX",
            help="Old prefix of a moved archive: captions under it count under --rename_to.",
        )
        job.add_argument("--rename_to", metavar="PREFIX", help="New prefix of a moved archive.")
        job.add_argument(
            "--max_failures",
            metavar="N",
            help="Exit with status 3 if more images fail: a number (100) or a share of those tried (5%% or 0.05).",
        )
        job.add_argument(
            "--print_captions",
            action="store_true",
            help="Print scores and captions at the end, highest score first.",
        )
        job.add_argument("--report", action="store_true", help="Write the run's report.html at the end.")
        job.add_argument(
            "--check",
            action="store_true",
            help="Only check the options: no file is read, and no cloud service is accessed.",
        )
        job.add_argument("--verbose", action="store_true", help="Show log messages of Beam and TensorFlow.")

        gpus = parser.add_argument_group("GPUs")
        gpus.add_argument(
            "--accelerator",
            metavar="TYPE[:N]",
            help="GPUs of each Dataflow worker, such as nvidia-tesla-t4 or nvidia-l4:2. Machine type, disk size and "
            "driver are chosen to match.",
        )
        gpus.add_argument("--share_gpu", action="store_true", help="Dataflow: one process per vCPU, sharing the GPU.")
        gpus.add_argument(
            "--flex_start",
            action="store_true",
            help="Dataflow: wait until machines with these GPUs are available (preview).",
        )
        gpus.add_argument(
            "--require_gpu",
            action="store_true",
            default=None,
            help="Fail at once if TensorFlow finds no GPU (default on Dataflow with --accelerator).",
        )
        gpus.add_argument(
            "--no_require_gpu", dest="require_gpu", action="store_false", default=None, help="Fall back to the CPU."
        )
        gpus.add_argument(
            "--full_precision", action="store_true", help="Compute in float32 even where half precision is fast."
        )

        limits = parser.add_argument_group("limits")

        def limit(name: str, kind: type, default: float, text: str) -> None:
            limits.add_argument(f"--{name}", type=kind, default=default, help=f"{text} (default: %(default)s).")

        limit("max_bytes", int, _LOADING.fetch.max_bytes, "Maximum bytes of an image file")
        limit("max_pixels", int, _LOADING.max_pixels, "Maximum pixels of an image, width x height")
        limit(
            "fetch_deadline",
            float,
            _LOADING.fetch.seconds,
            "Seconds to fetch one image, including retries; at most a day",
        )
        limit(
            "decode_deadline", float, _LOADING.decode_deadline, "Seconds of CPU time to decode one image; at most a day"
        )
        limit(
            "decode_memory",
            int,
            _LOADING.decode_memory,
            "Bytes of memory for decoding one image, in addition to its file",
        )
        limit("shard_records", int, _SHARDS.records, "Maximum records in an output file")
        limit("shard_seconds", float, _SHARDS.seconds, "Seconds after which an output file is closed")
        limits.add_argument(
            "--accept_truncated", action="store_true", help="Also caption images whose files end too early."
        )
        limits.add_argument("--allow_https", action="store_true", help="Also fetch https:// URIs.")

        Decoding.add_arguments(parser)

    def to_decoding(self) -> Decoding:
        """The decoding options; raises ``OptionError``."""
        try:
            return Decoding.from_arguments(self)
        except ValueError as error:
            raise OptionError(str(error)) from error

    def to_fields(self) -> Fields:
        """The fields of lists to read; raises ``OptionError``."""
        carry = tuple(self.carry.split(",")) if self.carry else ()
        for name in carry:
            if name in FIELDS:
                raise OptionError(f"--carry {name}: the records already have a field of this name; rename yours.")
        if self.version_field and not self.uris:
            raise OptionError(
                "--version_field works with --uris only; globs give a version to each image by themselves."
            )
        return Fields(self.uri_field, carry, self.version_field)

    def to_leave_out(self) -> LeaveOut:
        """What globs leave out; raises ``OptionError``."""
        if self.exclude and not self.images:
            raise OptionError("--exclude works with --images only; URIs in lists are never left out.")
        for glob in self.exclude:
            if not glob.strip("/"):
                raise OptionError(f"--exclude '{glob}': write a name, or a path.")
        output = os.path.abspath(self.output) if self.output and "://" not in self.output else self.output
        leave_out = LeaveOut(tuple(self.exclude), self.include_hidden, output)
        try:
            check_places(self.exclude, self.images)
            for root in set(map(root_of, self.images)):
                Rules(leave_out, root)
        except ValueError as error:
            raise OptionError(f"--exclude: {str(error).rstrip('.')}.") from error
        return leave_out

    def to_renamed(self) -> tuple[str, str] | None:
        """Old and new prefix of a moved archive; raises ``OptionError``."""
        try:
            return renamed_prefixes(self.rename_from, self.rename_to)
        except ValueError as error:
            raise OptionError(str(error)) from error

    def to_loading(self) -> Loading:
        """How images are loaded; raises ``OptionError``."""
        self.check_positive(
            "fetch_threads", "max_bytes", "max_pixels", "fetch_deadline", "decode_deadline", "decode_memory"
        )
        for name in ("fetch_deadline", "decode_deadline"):
            value = getattr(self, name)
            if value > _LONGEST_DEADLINE:
                raise OptionError(f"--{name} {value}: choose at most {_LONGEST_DEADLINE}, a day.")
        fetch = FetchLimits(self.max_bytes, self.fetch_deadline, self.allow_https)
        return Loading(
            self.fetch_threads, fetch, self.max_pixels, self.accept_truncated, self.decode_deadline, self.decode_memory
        )

    def to_shard_limits(self) -> ShardLimits:
        """When output files are closed; raises ``OptionError``."""
        self.check_positive("shard_records", "shard_seconds")
        return ShardLimits(self.shard_records, self.shard_seconds)

    def check_positive(self, *names: str) -> None:
        """Raises ``OptionError`` if one of the options is not above 0."""
        for name in names:
            value = getattr(self, name)
            if not value > 0:
                rule = "1 or more" if isinstance(value, int) else "a number above 0"
                raise OptionError(f"--{name} {value}: choose {rule}.")


def _names(text: str) -> str:
    """Names with commas alone between them, as they are looked up in lists, and recorded."""
    return ",".join(filter(None, map(str.strip, text.split(","))))
