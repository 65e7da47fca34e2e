"""What a server is told about its metrics, by its environment.

Apart from `metrics.py`, so that whoever starts a server need not have Prometheus' client.
"""

PORT = "METRICS_PORT"
"""Where it tells of its requests, to whoever asks; unset where it does not."""
