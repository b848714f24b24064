"""Reservoirs beside the uniform one: by weight, over a sliding window, and by stratum. All merge exactly."""
