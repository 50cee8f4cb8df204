"""Capla 500+: ten centres' files to the study's tables."""

import os

# Before numpy is loaded: with small matrices threads only wait for each other, and sum in an order that varies.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
