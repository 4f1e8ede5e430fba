"""A run's page served to this machine while the run goes on."""
