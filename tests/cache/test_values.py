"""What the cache hands out cannot be changed: it is kept, compared, and shared by threads."""

import dataclasses
import importlib
import pkgutil

from demijohn import cache


def test_every_record_is_frozen() -> None:
    modules = [importlib.import_module(f"demijohn.cache.{each.name}") for each in pkgutil.iter_modules(cache.__path__)]
    records = {
        each
        for module in modules
        for each in vars(module).values()
        if dataclasses.is_dataclass(each) and each.__module__ == module.__name__
    }
    assert len(records) > 15
    assert [each.__name__ for each in records if not each.__dataclass_params__.frozen] == []
