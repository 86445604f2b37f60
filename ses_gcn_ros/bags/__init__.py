"""Recordings: reading, writing, salvage, and adapters for other projects' messages."""
