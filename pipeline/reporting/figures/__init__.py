"""One family of figures a file, and the numbers that DVC plots."""
