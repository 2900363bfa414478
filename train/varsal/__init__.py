"""Train VarSal's encoder."""
