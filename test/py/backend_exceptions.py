"""Backend cases that Kapell does not pass, each with the words that say why the case, not the operator, is at fault.

name -> (quotation, where it stands). test_backend.py fails when a case listed here passes, or one that is not listed fails.
"""

EXCEPTIONS = {}
