"""The service: the only place that knows Django. `settings` is all there is to configure."""
