"""What a run amounts to: tables, figures and the page. Reads what evaluation left; nothing is measured here.

Uses evaluation, crops, videos, params, work.
"""
