"""The only room that knows ffmpeg: what a video is, its frames, lossless clips, compression, and their tables.

Uses work.
"""
