"""The deepfake detectors themselves: backbones, a trained model on disk with its card, and its scores of images.

Uses fetching (published weights), work.
"""
