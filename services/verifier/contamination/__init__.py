"""Decontamination: is a sample, or a part of it, an item of a benchmark?"""
