"""Fakes of real videos: landmarks, donors, warping, blending, and one module a manipulation."""
