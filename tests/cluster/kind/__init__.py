"""The platform for any cluster, on a real one: people, servers, training Jobs and upgrades."""
