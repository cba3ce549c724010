"""The service: the only place that knows Django. `settings` is all there is to configure."""

#: What is said where the packages of the service are not there.
NOT_INSTALLED = (
    "the service is not installed: run “pip install '.[web]'” in the folder with cjit's files, or give pip the wheel"
    " file with [web] after its name"
)
