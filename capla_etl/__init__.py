"""Capla 500+: ten centres' files to the study's tables."""

import os

# Before numpy is loaded. Our matrices are small: more threads only wait for each other, and add numbers in an order that differs between machines.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
