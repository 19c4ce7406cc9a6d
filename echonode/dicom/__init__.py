"""Bytes to facts and back: header, pixels, regions, timing, views, matching. Pure: no sockets, no torch."""
