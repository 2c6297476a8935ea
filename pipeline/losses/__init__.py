"""The distillation losses, one a file, and their registry."""
