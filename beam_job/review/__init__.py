"""Reviews: a page on which a person marks captions as right or wrong, and adding the result.

python -m beam_job.review DIR                             # writes DIR/review-<id>.html with 200 photos
python -m beam_job.review DIR --add reviews-*.jsonl       # adds reviews that were downloaded from the page
"""
