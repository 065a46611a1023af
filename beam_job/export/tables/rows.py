"""A caption as a row of a table: the columns and their types."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from beam_job.files.document import is_number

COLUMNS = {
    "uri": pa.string(),
    "caption": pa.string(),
    "source": pa.string(),
    "score": pa.float64(),
    "chance": pa.float64(),
    "model": pa.string(),
    "run": pa.string(),
    "width": pa.int64(),
    "height": pa.int64(),
}
"""The columns of every table; carried fields, which are text, stand behind them."""

_NESTED = {
    "captions": {
        "text": pa.string(),
        "score": pa.float64(),
        "mean_log_prob": pa.float64(),
        "min_log_prob": pa.float64(),
        "ended": pa.bool_(),
        "tokens": pa.list_(pa.string()),
    },
    "labels": {"label": pa.string(), "probability": pa.float64()},
}
_MORE = {
    "decoding": pa.string(),
    "bytes": pa.int64(),
    "sha256": pa.string(),
    "dhash": pa.string(),
    "version": pa.string(),
}


def schema(carried: Sequence[str]) -> pa.Schema:
    """The schema of Parquet files: the columns, more of a record's fields, all captions and labels nested, carried
    fields."""
    nested = {name: pa.list_(pa.struct(list(kinds.items()))) for name, kinds in _NESTED.items()}
    fields = {**COLUMNS, **_MORE, **nested, **{name: pa.string() for name in carried}}
    return pa.schema(list(fields.items()))


def row(record: Mapping[str, Any], carried: Sequence[str]) -> dict[str, Any]:
    """A record's row for ``schema``. Values of a wrong type are left out."""
    nested = {
        field: [
            {name: _typed(one.get(name), kind) for name, kind in kinds.items()} for one in _objects(record.get(field))
        ]
        for field, kinds in _NESTED.items()
    }
    fields = {name: _typed(record.get(name), kind) for name, kind in {**COLUMNS, **_MORE}.items()}
    return {**fields, **nested, **{name: as_text(record.get(name)) for name in carried}}


def as_text(value: Any) -> str | None:
    """A carried field as text: strings unchanged, all other values as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _typed(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return _unicode(value) if isinstance(value, str) else None
    if pa.types.is_boolean(kind):
        return value if isinstance(value, bool) else None
    if pa.types.is_list(kind):
        return [_unicode(item) for item in value if isinstance(item, str)] if isinstance(value, list) else None
    if not is_number(value):
        return None
    return float(value) if pa.types.is_floating(kind) else int(value)


def _unicode(text: str) -> str:
    """Text that UTF-8 can hold: JSON can name half a character."""
    return text.encode("utf-8", "replace").decode()
