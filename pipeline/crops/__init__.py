"""From boxes and videos to WebDataset shards of raw, compressed and degraded squares, and the folds over their people.

Uses faces, videos, params, work.
"""
