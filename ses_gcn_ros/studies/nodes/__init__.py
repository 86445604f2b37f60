"""Processes that the end-to-end benchmark holds the nodes against."""
