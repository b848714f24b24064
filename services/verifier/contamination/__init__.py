"""Decontamination: samples that are, or hold, items of a benchmark."""
