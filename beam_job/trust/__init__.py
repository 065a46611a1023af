"""Trust: how many captions are right, and how likely each one is right, estimated from reviews of a sample.

python -m beam_job.trust DIR                 # a table, and DIR/trust.json
python -m beam_job.trust DIR --right 95%     # also the score above which 95 % of the captions are right
"""
