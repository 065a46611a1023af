"""What a model answers to an image: its captions with their scores, and the labels of what its classifier sees."""
