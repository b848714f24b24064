"""Runnable examples of limoflow."""
