"""One manipulation a file, and what they share: donors, warps, blending. Uses faces, videos, work."""
