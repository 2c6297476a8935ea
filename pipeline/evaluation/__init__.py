"""Trained models on people they never saw: measures, intervals, paired tests, nearest neighbours, Grad-CAM.

Uses loading, crops, detectors, videos (which frames), params, work.
"""
