"""Parts of messages that all packages use."""
