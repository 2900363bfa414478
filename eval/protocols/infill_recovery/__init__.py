"""What the infillers recover."""
