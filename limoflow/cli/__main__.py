"""`python -m limoflow.cli`."""

from limoflow.cli.main import main

main()
