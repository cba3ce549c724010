"""The dataset the service works with: Q, with the official code lists that are installed when it starts."""

from __future__ import annotations

from cjit.datasets.q import Q
from cjit.reference import with_installed

DATASET = with_installed(Q)
