"""See a person's next second: skeletons, SeS-GCN forecasts and separation monitoring for cobots."""

from pkgutil import extend_path

# The generated messages are installed elsewhere than a checkout: run from there, both are found.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
