"""The command line: `limoflow ...`, one file for each group of commands."""
