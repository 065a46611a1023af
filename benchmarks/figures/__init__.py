"""What benchmarks find: measurements, the machine that they were made on, and the page that shows them."""
