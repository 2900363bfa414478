"""What the protocols of VarSal's figures measure, tabulate and draw."""
