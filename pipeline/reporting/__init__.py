"""The report of a run: from the cells that the params name to one page, tables and figures."""
