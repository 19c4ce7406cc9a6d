"""The path of the data, one stage a file: ingest, settle, route, run, publish, deliver."""
