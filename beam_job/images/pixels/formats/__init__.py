"""Image files to pictures, a module for each format."""
