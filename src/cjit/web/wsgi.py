"""What a web server runs: `cjit.web.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cjit.web.settings")
application = get_wsgi_application()
