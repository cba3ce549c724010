"""Django's own commands, such as `python -m cjit.web.manage check --deploy`."""

import os
import sys


def main() -> None:
    """Run a command of Django's."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cjit.web.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
