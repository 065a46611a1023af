"""Words for people: parts of messages that every room uses."""
