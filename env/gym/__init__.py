"""The face for reinforcement learning: shortlist, features, reward and the Gymnasium environment."""
