"""The pipelines of exports on one screen: captions in; sidecars or a table, failures and a manifest out."""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter

from beam_job.export.export import Export
from beam_job.export.outcomes import FAILED, WRITTEN, Outcome
from beam_job.export.selection import LEFT_OUT, Select, Selection
from beam_job.export.tables.write import WriteTable
from beam_job.export.xmp.write import Sidecars, TakeBackSidecars, WriteSidecars
from beam_job.files.document import UnreadableError, is_text
from beam_job.runs.current import ReadCaptions
from beam_job.runs.folder import CAPTIONS, open_run_folder, run_folders
from beam_job.runs.merge import MergeShards
from beam_job.runs.passed_over import PASSED_OVER, passed_over
from beam_job.runs.record_file import RecordFile, is_caption
from beam_job.runs.shards import WriteShards

_EXAMPLES = 10


def write_sidecars(
    pipeline: beam.Pipeline, export: Export, captions: ReadCaptions, selection: Selection, sidecars: Sidecars
) -> beam.PCollection[dict[str, Any]]:
    """Adds an export to sidecars to ``pipeline``; returns its manifest."""
    records = pipeline | "ReadCaptions" >> captions
    select = beam.ParDo(Select(selection, withdraw=True)).with_outputs(LEFT_OUT, main="chosen")
    selected = records | "Select" >> select
    outcomes = selected.chosen | "WriteSidecars" >> WriteSidecars(sidecars)
    counted = (_counted(outcomes), _left_out(selected[LEFT_OUT])) | "Counted" >> beam.Flatten()
    return _close(pipeline, export, _number(records), counted, outcomes)


def take_back_sidecars(pipeline: beam.Pipeline, export: Export, sidecars: Sidecars) -> beam.PCollection[dict[str, Any]]:
    """Adds the undoing of all exports to sidecars to ``pipeline``; returns its manifest.

    Every image that any run has captioned is checked, because its sidecar may come from another model's captions.
    """
    files = (
        pipeline
        | "Output" >> beam.Create([export.output])
        | "Runs" >> beam.FlatMap(run_folders)
        | "Files" >> beam.FlatMap(_caption_files).with_outputs(PASSED_OVER, main="found")
    )
    read = (
        files.found
        | "ReshuffleFiles" >> beam.Reshuffle()
        | "Uris" >> beam.FlatMap(_uris).with_outputs(PASSED_OVER, main="found")
    )
    passed_over = (files[PASSED_OVER], read[PASSED_OVER]) | "PassedOver" >> beam.Flatten()
    outcomes = read.found | "TakeBackSidecars" >> TakeBackSidecars(sidecars)
    return _close(pipeline, export, _number(outcomes), _counted(outcomes), outcomes, AsIter(passed_over))


def write_table(
    pipeline: beam.Pipeline, export: Export, captions: ReadCaptions, selection: Selection, table: WriteTable
) -> beam.PCollection[dict[str, Any]]:
    """Adds an export to a table to ``pipeline``; returns its manifest."""
    records = pipeline | "ReadCaptions" >> captions
    selected = records | "Select" >> beam.ParDo(Select(selection)).with_outputs(LEFT_OUT, main="chosen")
    rows = selected.chosen | "Rows" >> beam.combiners.Count.Globally()
    written = selected.chosen | "WriteTable" >> table
    whole = rows | "Whole" >> beam.Map(lambda number, what: ((what, None), number), beam.pvalue.AsSingleton(written))
    counted = (whole, _left_out(selected[LEFT_OUT])) | "Counted" >> beam.Flatten()
    return _close(pipeline, export, _number(records), counted, pipeline | "NoFailures" >> beam.Create([]))


def _number(found: beam.PCollection) -> beam.PCollection[int]:
    return found | "Read" >> beam.combiners.Count.Globally()


def _counted(outcomes: beam.PCollection[Outcome]) -> beam.PCollection:
    return (
        outcomes
        | "WhatAndCode" >> beam.Map(lambda outcome: (outcome.what, outcome.code)).with_output_types(tuple[str, Any])
        | "CountOutcomes" >> beam.combiners.Count.PerElement()
    )


def _left_out(reasons: beam.PCollection[str]) -> beam.PCollection:
    return (
        reasons
        | "Reason" >> beam.Map(lambda reason: (LEFT_OUT, reason))
        | "CountLeftOut" >> beam.combiners.Count.PerElement()
    )


def _close(
    pipeline: beam.Pipeline,
    export: Export,
    read: beam.PCollection,
    counted: beam.PCollection,
    outcomes: beam.PCollection,
    passed_over: AsIter | Sequence[int] = (),
) -> beam.PCollection[dict[str, Any]]:
    failures = (
        outcomes
        | "Failed" >> beam.Filter(lambda outcome: outcome.what == FAILED)
        | "WriteFailures" >> beam.ParDo(WriteShards(export.directory, "failures"))
        | "MergeFailures" >> MergeShards(export.directory)
    )
    examples = (
        outcomes
        | "Changed" >> beam.Filter(lambda outcome: outcome.what == WRITTEN)
        | "Example" >> beam.Map(lambda outcome: (outcome.sidecar, outcome.caption))
        | "Examples" >> beam.combiners.Top.Smallest(_EXAMPLES)
    )
    return (
        pipeline
        | "Export" >> beam.Create([export])
        | "WriteManifest"
        >> beam.Map(
            Export.finish,
            read=AsIter(read),
            counted=AsIter(counted),
            failures=AsIter(failures),
            examples=AsIter(examples),
            passed_over=passed_over,
        )
    )


def _caption_files(directory: str) -> Iterator[Any]:
    try:
        run = open_run_folder(directory)
    except UnreadableError as error:
        yield passed_over(f"{directory!r}: {error}")
        return
    yield from run.files(CAPTIONS)
    for problem in run.problems:
        yield passed_over(f"{directory!r}: {problem}")


def _uris(path: str) -> Iterator[Any]:
    records = RecordFile(path, lambda record: is_caption(record) and is_text(record["uri"]))
    for record in records:
        yield record["uri"]
    if records.problem:
        yield passed_over(f"{path!r}: {records.problem}", records.passed_over)
