"""The only room that knows dlib: where faces and their landmarks are, and the squares that are cut around them.

Uses videos, work.
"""
