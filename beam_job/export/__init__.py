"""Captions to where they are used: XMP sidecars beside the photos, a spreadsheet, a Parquet file.

python -m beam_job.export DIR --to xmp
python -m beam_job.export DIR --to csv --output captions.csv
"""
