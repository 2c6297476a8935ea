"""The page, in words: the conclusion, the provenance, the templates."""
