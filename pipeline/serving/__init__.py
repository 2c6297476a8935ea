"""The trained detector in a user's hand: shipped folders, verdicts on any video or photo, their pages, a local app.

Uses evaluation, loading, crops, faces, detectors, videos, params, work.
"""
