"""Networks as data: layers, and the programs that they are lowered to."""
