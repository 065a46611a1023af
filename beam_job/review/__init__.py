"""Reviews: a page on which a person says which captions are right, and what becomes of it.

python -m beam_job.review DIR                             # writes DIR/review-<id>.html, of 200 photos
python -m beam_job.review DIR --add reviews-*.jsonl       # takes what was downloaded from it
"""
