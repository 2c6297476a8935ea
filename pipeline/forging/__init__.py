"""One manipulation a file, and what they share: donors, warps, blending.

Uses crops (folds), faces, videos, params, work.
"""
