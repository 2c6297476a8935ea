"""From boxes and videos to WebDataset shards of raw and compressed squares, and what a shard looks like.

Uses faces, videos, work.
"""
