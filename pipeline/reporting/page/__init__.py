"""The page, in words: the verdict, the provenance, the templates."""
