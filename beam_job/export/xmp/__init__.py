"""XMP sidecars: the files beside photos in which photo managers keep descriptions."""
