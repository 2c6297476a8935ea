"""One distillation a file, named as in the paper; registry.py builds them from the params.

Uses training (the named terms, the plain classifier), detectors, params, work.
"""
