"""Trains models: from images and captions to the exported model directory that ``beam_job`` captions with."""
