"""Tables: CSV for spreadsheets, Parquet for data tools."""
