"""One origin of videos a file: the sample, a folder, the published data sets; and people put into buckets.

Uses fetching, videos, params, work.
"""
