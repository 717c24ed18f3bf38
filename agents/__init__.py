"""The learned side: forecaster, policy, training, and the exported bundle as a planner."""
