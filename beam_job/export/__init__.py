"""Exports captions to XMP sidecars next to the photos, to CSV or to Parquet.

python -m beam_job.export DIR --to xmp
python -m beam_job.export DIR --to csv --output captions.csv
"""
