"""The nodes' core on a recording's clock: evaluate, report, compare, render."""
