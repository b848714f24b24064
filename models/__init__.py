"""Models that score: pure torch code shared by the Triton repository and by in-process use."""
