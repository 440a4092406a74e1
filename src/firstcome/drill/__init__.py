"""What breaks a local stack on purpose, and proves that it did."""
