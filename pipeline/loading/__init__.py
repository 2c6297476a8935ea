"""From shards to batches: crops decoded once and kept where they fit, the draws of an epoch, windows as tensors.

Uses crops, params, work.
"""
