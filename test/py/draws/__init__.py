"""Generated draws of operators' inputs and attributes, one module a family; base.py has the contract. All modules are found here."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
