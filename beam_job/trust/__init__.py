"""Trust: how many captions are right, and how likely each one is, by what people said of a sample.

python -m beam_job.trust DIR                 # a table, and DIR/trust.json
python -m beam_job.trust DIR --right 95%     # from which score on 95 % of the captions are right
"""
