"""Reports: one page that holds a run (`page`), and a recorded run as page and pictures (`files`)."""
