"""From shards to batches: which buckets of people a fold trains and tests on, crops in memory, the draws of an epoch.

Uses crops, work.
"""
