"""How the selector scales: measured rates, and a simulated window of 10^9 samples."""
