"""Records of photos that are gone, or that somebody asked to remove, are taken out of a folder of runs."""
