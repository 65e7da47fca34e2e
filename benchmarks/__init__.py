"""What our server costs beside MLflow's own."""
