"""Every number of params.yaml with its bounds, presets of them, and which trained models (cells) they name.

Uses work.
"""
