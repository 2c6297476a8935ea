"""A page in the browser to try a shipped detector on: verdicts, and one clip more and more compressed."""
