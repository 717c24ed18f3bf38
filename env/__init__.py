"""The world Quell schedules in: what a cluster is, how time goes on, and its Gymnasium face."""

from .gym.registration import register_envs_with_gymnasium

register_envs_with_gymnasium()
