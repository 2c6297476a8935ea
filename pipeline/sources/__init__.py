"""One origin of videos a file: the sample, a folder, the published data sets; and people put into buckets.

Uses crops (folds), fetching, videos, params, work.
"""
