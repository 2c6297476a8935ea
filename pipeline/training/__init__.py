"""The one training loop for teachers, baselines and students, and what it remembers. It knows no single loss.

Uses loading, crops, detectors, tracking, params, work.
"""
