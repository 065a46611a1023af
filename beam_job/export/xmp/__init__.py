"""XMP sidecars: files next to photos in which photo managers store descriptions."""
