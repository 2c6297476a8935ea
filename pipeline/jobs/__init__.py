"""DVC's stages side by side on the cores and GPUs of this machine, or on a cluster; what a run would come to.

python -m pipeline.jobs. Uses crops (folds), detectors, losses, params, training, videos, work.
"""
