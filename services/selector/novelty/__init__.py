"""Novelty: what was released before, so that the next release adds what is new."""
