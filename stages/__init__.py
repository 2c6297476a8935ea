"""One script a stage: arguments, one call into pipeline, one outcome line."""
