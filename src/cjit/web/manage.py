"""Django's own commands, such as `python -m cjit.web.manage check --deploy`."""

import os
import sys

from cjit.web import NOT_INSTALLED


def main() -> None:
    """Run a command of Django's."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cjit.web.settings")
    try:
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError:
        sys.stderr.write(f"cjit: {NOT_INSTALLED}\n")
        sys.exit(2)

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
