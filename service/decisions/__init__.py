"""Who may operate: the current generation and script set, and which node leads."""
