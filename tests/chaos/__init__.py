"""Real clusters under faults: nemeses, the histories that clients record meanwhile, and what must hold in them."""
