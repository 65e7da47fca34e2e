"""The GKE platform on a real cluster: what Google's services do for its pods, here."""
