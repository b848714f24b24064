"""limoflow."""
