"""All that the stages do, in rooms. Bottom up: work, params, fetching and tracking, videos and detectors, faces,
crops, loading, training, then losses, forging and sources, evaluation, reporting, jobs. Arrows point down only
(pyproject.toml, import-linter).
"""
