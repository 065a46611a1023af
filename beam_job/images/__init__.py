"""From a URI to pixels."""
