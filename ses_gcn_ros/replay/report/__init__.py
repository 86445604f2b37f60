"""Reports: one page that holds a run (`page`); a recorded run as page and pictures (`files`)."""
