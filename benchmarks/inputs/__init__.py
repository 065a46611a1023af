"""What benchmarks caption: photographs on a disk, and in an emulator of Cloud Storage."""
