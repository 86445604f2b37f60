"""Pages of one file: a run (`page`), and the protocol of a commissioning (`protocol`)."""
