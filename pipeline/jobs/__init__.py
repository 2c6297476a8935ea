"""DVC's stages side by side on the cores of this machine: python -m pipeline.jobs. Uses params, work."""
