"""The command line. Every import that costs time is made late."""
