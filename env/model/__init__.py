"""What a cluster is and the rules it obeys: pure functions over frozen data, numpy only."""
