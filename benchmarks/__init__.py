"""What limoflow measures of itself; `python -m benchmarks` runs it all."""
