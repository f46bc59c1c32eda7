"""Malformed models, files and calls, one module a kind; see base.py for what a case is and test_hostile.py for how they are run."""
