"""How the answer of a SQL question is run and compared."""
