"""Values, tables of states, errors, settings and ports. Standard library, numpy and pydantic only."""
