"""The trained detector in a user's hand: shipped folders, verdicts on any video or photo, and their pages.

Uses evaluation, loading, crops, faces, detectors, sources (files and names), videos, params, work.
"""
