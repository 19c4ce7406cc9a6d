"""This package's own tests run where it is installed: `pip install -e .`, then `pytest tests`."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("echo_gain") else ["tests"]
