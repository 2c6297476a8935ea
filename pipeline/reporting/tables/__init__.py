"""One family of tables a file, each written as CSV, Markdown and LaTeX."""
